"""`vos-lightning segment`: videos and masks of their objects in, masks for every frame out."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from vos_lightning.commands.parser import Parser
from vos_lightning.commands.segment_video import OVERLAY, Drawing, result_names, segment
from vos_lightning.errors import VOSError
from vos_lightning.inference.adaptation import AdapterSettings, EncoderSettings
from vos_lightning.inference.precision import Precision, usable_precision
from vos_lightning.inference.segmenter import usable_device
from vos_lightning.io.files import list_files
from vos_lightning.io.frames import open_frames
from vos_lightning.io.mask_folder import is_complete
from vos_lightning.io.mask_reader import MASK_SUFFIXES
from vos_lightning.io.progress import progress_bar
from vos_lightning.io.terminal import say


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run."""
    options = _parser().parse_args(arguments)
    settings = {
        "weights": options.weights,
        "device": options.device,
        "max_size": options.max_size,
        "drawing": _drawing(options),
        "adapter": _adapter(options),
        "precision": options.precision,
        "backward": options.backward,
    }
    if options.masks is not None:
        return _segment_all([Path(one) for one in options.inputs], options.masks, options.output, settings)
    if len(options.inputs) > 1:
        raise VOSError(
            f"{len(options.inputs)} inputs, and --mask is for one; give --masks DIR, a folder of their masks"
        )
    if not options.mask:
        raise VOSError("which objects? give --mask FIRST.png, or --masks DIR; `vos-lightning studio` makes masks")
    prompts = _prompts(options.mask)
    written = segment(options.inputs[0], prompts, options.output, live_frames=options.frames, **settings)
    precision = usable_precision(options.precision, usable_device(options.device))
    say(written.line(str(precision).removeprefix("torch.")))
    return 0


def _segment_all(videos: Sequence[Path], masks: Path, output: Path, settings: dict[str, Any]) -> int:
    """Segment videos one by one, each into its own folder; those that are done are left out.

    Returns:
        The exit code: 2 if any failed, which is said in its line, once the others are done.

    Raises:
        VOSError: two videos of one name.
    """
    names = [video.stem for video in videos]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise VOSError(f"several inputs are called {repeated[0]}; their masks would go into one folder")
    failed = 0
    lengths = [_length(video) if sys.stderr.isatty() else 0 for video in videos]
    with progress_bar() as bar:
        everything = bar.add_task("all videos", total=sum(lengths), note="")
        for number, video in enumerate(videos, start=1):
            place = output / video.stem
            try:
                if is_complete(place, result_names(open_frames(video).names, settings["drawing"])):
                    line = f"{place} is complete already"
                else:
                    line = segment(video, {0: _mask_of(video, masks)}, place, bar=bar, **settings).line()
            except VOSError as error:
                failed += 1
                line = f"error: {error}"
            say(f"{number}/{len(videos)} {video}: {line}")
            bar.update(everything, completed=sum(lengths[:number]))
    return 2 if failed else 0


def _length(video: Path) -> int:
    """Number of frames; 0 where there are none to be read, which is said when its turn comes."""
    with suppress(VOSError):
        return len(open_frames(video))
    return 0


def _mask_of(video: Path, masks: Path) -> Path:
    """The mask of a video's first frame: NAME.png or another format, or the first one in a folder NAME.

    Raises:
        VOSError: there is none.
    """
    folder = masks / video.stem
    found = [path for path in (masks / f"{video.stem}{suffix}" for suffix in MASK_SUFFIXES) if path.is_file()]
    if not found and folder.is_dir():
        found = list_files(folder, MASK_SUFFIXES)
    if not found:
        raise VOSError(f"no mask for it: expected {folder}.png, or the first frame's in {folder}")
    return found[0]


def _prompts(masks: Sequence[str]) -> dict[int, Path]:
    """Masks by frame, from FILE and FILE@FRAME.

    Raises:
        VOSError: two for one frame.
    """
    prompts: dict[int, Path] = {}
    for text in masks:
        name, at, number = text.rpartition("@")
        is_later = bool(at) and number.isdecimal() and not Path(text).exists()
        frame = int(number) if is_later else 0
        if frame in prompts:
            raise VOSError(
                f"--mask {text}: there is one for frame {frame} already, {prompts[frame]}; draw them into one"
            )
        prompts[frame] = Path(name if is_later else text)
    return prompts


def _parser() -> Parser:
    parser = Parser(
        prog="vos-lightning segment",
        description="Follow the objects of a first-frame mask through a video. Writes one palette PNG per frame into "
        "the output folder, named after the frames (00000.png, 00001.png, … for a video file).",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="a video file or a folder of frames; or a live source: the number of a camera, a URL or a pipe",
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--mask",
        action="append",
        metavar="FILE[@FRAME]",
        help="objects of the first frame: a palette or grey picture of integer ids (0 is background), one colour per "
        "object, labelme or COCO JSON; again, with the frame, for objects that come later and for corrections: --mask "
        "first.png --mask later.png@40",
    )
    given.add_argument(
        "--masks",
        type=Path,
        metavar="DIR",
        help="for several inputs: masks of their first frames, NAME.png (or alike) or the first in folder NAME. "
        "Results go to a folder NAME each; those that are complete are left out, so that a run can be resumed",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the masks go")
    parser.add_argument(
        "--backward", action="store_true", help="follow objects backward too, from where each was given first"
    )
    parser.add_argument(
        "--weights",
        default="default",
        metavar="W",
        help="'default' (MAST), 'ct_vos', 'lab' (matches colours, nothing learned), or a .ckpt or .safetensors file",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, …; auto takes a GPU where there is one")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="auto",
        help="of the network and of similarities; auto takes bfloat16 where the device multiplies it faster",
    )
    parser.add_argument(
        "--max-size",
        type=_positive,
        metavar="PIXELS",
        help="scale frames with a longer side down to this for the network; masks keep the full size. Default: the "
        "limit that belongs to the weights, 640 for those that ship",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="learn from this video's own masks what to tell apart in it, and propagate again: better masks for about "
        "three times the time",
    )
    parser.add_argument("--adapt-steps", type=_positive, metavar="N", help="training steps, 80 by default")
    parser.add_argument(
        "--adapt-unet",
        action="store_true",
        help="instead train SSVOS' U-Net on the masks, for 200 steps by default, and combine its masks with them",
    )
    parser.add_argument("--adapt-seconds", type=float, metavar="S", help="train the U-Net no longer than this")
    parser.add_argument(
        "--adapt-causal",
        action="store_true",
        help="adapt the U-Net while the masks come, from earlier frames only; --adapt-steps are then of each refresh",
    )
    parser.add_argument(
        "--overlay",
        action="store_true",
        help=f"also write {OVERLAY}: the masks over the frames, with the times, pixel aspect and sound of the video",
    )
    parser.add_argument("--outline", action="store_true", help="in the overlay, draw outlines alone")
    parser.add_argument("--legend", action="store_true", help="in the overlay, write the ids beside their colours")
    parser.add_argument(
        "--frames", type=_positive, default=10_000, metavar="N", help="of a live source, at most; default: 10000"
    )
    return parser


def _drawing(options: argparse.Namespace) -> Drawing | None:
    """How to draw the overlay; None for none.

    Raises:
        VOSError: flags of the overlay without it.
    """
    if options.overlay:
        return Drawing(0.0 if options.outline else 0.5, options.legend)
    if options.outline or options.legend:
        raise VOSError("--outline and --legend say how to draw the overlay; add --overlay")
    return None


def _adapter(options: argparse.Namespace) -> EncoderSettings | AdapterSettings | None:
    """What the flags ask for.

    Raises:
        VOSError: flags without the one that they refine.
    """
    steps, seconds = options.adapt_steps, options.adapt_seconds
    if options.adapt_unet:
        if options.adapt:
            raise VOSError("--adapt and --adapt-unet are two ways to adapt; give one")
        changes: dict[str, Any] = {"seconds": seconds, "mode": "causal" if options.adapt_causal else None}
        changes |= {"steps": steps, "refresh_steps": steps}
        changes = {name: value for name, value in changes.items() if value is not None}
        return replace(AdapterSettings.preset(usable_device(options.device)), **changes)
    if seconds is not None or options.adapt_causal:
        raise VOSError("--adapt-seconds and --adapt-causal are the U-Net's; add --adapt-unet")
    if options.adapt:
        return EncoderSettings() if steps is None else EncoderSettings(steps=steps)
    if steps is not None:
        raise VOSError("--adapt-steps says how to adapt; add --adapt or --adapt-unet")
    return None


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return value
