"""`vos-lightning export`: pack results for an evaluation server, or masks of one video for other tools."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vos_lightning.commands.parser import Parser
from vos_lightning.errors import VOSError

SUBMISSIONS = ("davis", "youtube-vos")
# forms of one video with its masks, see `evaluation.masked_video`
FORMS = ("overlay", "cutouts", "cutout-video", "coco", "davis-layout", "youtube-layout")


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run."""
    options = vars(_parser().parse_args(arguments))
    video = options.pop("video")
    if options["format"] in FORMS:
        return _export_video(options, video)
    if video is not None:
        raise VOSError(f"--video has no effect on --format {options['format']}; leave it out")
    from vos_lightning.evaluation.command import export_command  # after --help has been answered

    return export_command(options.pop("predictions"), options.pop("output"), **options)


def _export_video(options: dict[str, Any], video: Path | None) -> int:
    """One video with the folder of its masks."""
    form = options["format"]
    useless = [name for name in ("meta", "reference", "image_set") if options[name] is not None]
    if useless:
        raise VOSError(f"--{useless[0].replace('_', '-')} has no effect on --format {form}; leave it out")
    if video is None:
        raise VOSError(f"--format {form} needs the video that the masks belong to: --video my_video.mp4")
    from vos_lightning.evaluation.export import check_new
    from vos_lightning.evaluation.masked_video import FORMS as WRITERS
    from vos_lightning.evaluation.masked_video import masked_video

    check_new(options["output"])
    WRITERS[form].write(masked_video(options["predictions"], video), options["output"])
    print(f"{WRITERS[form].title}: {options['output']}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="vos-lightning export",
        description="Pack a folder of results for a server, in its exact layout: ids and palette kept, required frames "
        "only. Every mask is checked before anything is written. Or turn one video and its folder of masks into what "
        "other tools read: an overlay, the objects cut out, COCO's run lengths, a data set.",
    )
    add = parser.add_argument
    add("predictions", type=Path, metavar="PREDICTIONS", help="one folder per sequence; with --video, the PNGs of one")
    add("output", type=Path, metavar="OUTPUT", help="a new folder, or a file that ends in .zip (.mp4, .webm, .json)")
    add("--format", choices=(*SUBMISSIONS, *FORMS), default="davis", help="default: davis, a submission")
    add("--video", type=Path, metavar="VIDEO", help="file or folder of frames, for overlay and all that follow it")
    add("--meta", type=Path, metavar="meta.json", help="youtube-vos: lists the videos, objects and frames to pack")
    add("--reference", type=Path, metavar="DIR", help="davis: images or annotations that tell the frames to pack")
    add("--image-set", type=Path, metavar="val.txt", help="davis: the sequences to pack, one per line")
    add("--strict", action="store_true", help="refuse what is only noted otherwise")
    add("--workers", type=int, metavar="N", help="processes; default: one per core")
    return parser
