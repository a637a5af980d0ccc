"""`vos-lightning prepare`: a copy of a dataset that loads fast."""

import sys
from collections.abc import Sequence
from pathlib import Path

from vos_lightning.commands.parser import Parser
from vos_lightning.io.terminal import say


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run; 1 if a video was left out."""
    options = _parser().parse_args(arguments)
    from vos_lightning.data.shards.writing import prepare_shards
    from vos_lightning.data.tools.encoding import Encoding
    from vos_lightning.data.tools.prepare import prepare_dataset  # after --help has been answered

    encoding = Encoding(options.short_side, options.gop, options.crf)
    common = (options.format, encoding, options.threads, _complain)
    if options.shards is None:
        report = prepare_dataset(options.root, options.output, *common)
    else:
        report = prepare_shards(options.root, options.output, options.shards, *common)
    say(report.summary())
    return int(bool(report.faults))


def _complain(path: str, reason: str) -> None:
    say(f"left out: {reason if path in reason else f'{path}: {reason}'}", sys.stderr)


def _parser() -> Parser:
    parser = Parser(
        prog="vos-lightning prepare",
        description="Write a training copy of a dataset: one small mp4 with frequent key frames per video. "
        "Interrupted, it goes on where it stopped. Exit code 1 if a video could not be read.",
    )
    add = parser.add_argument
    add("root", type=Path, metavar="DATASET_ROOT", help="folder of the dataset")
    add("output", type=Path, metavar="OUTPUT", help="folder for the copy, outside of the dataset")
    add("--format", choices=("davis", "youtube-vos", "kinetics", "videos"), default="videos", help="default: videos")
    add("--short-side", type=int, default=256, metavar="PIXELS", help="of the copies; default: 256")
    add("--gop", type=int, default=8, metavar="N", help="frames from key frame to key frame; default: 8")
    add("--crf", type=int, default=20, metavar="Q", help="quality of H.264, 0 to 51, lower is better; default: 20")
    add("--shards", type=int, metavar="N", help="write N tar files instead, for ShardDataModule to stream")
    add("--threads", type=int, metavar="N", help="videos at a time; default: two per core")
    return parser
