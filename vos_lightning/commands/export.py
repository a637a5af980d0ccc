"""`vos-lightning export`: pack results for an evaluation server."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run."""
    options = vars(_parser().parse_args(arguments))
    from vos_lightning.evaluation.command import export_command  # after --help has been answered

    return export_command(options.pop("predictions"), options.pop("output"), **options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vos-lightning export",
        description="Pack a folder of results for a server, in its exact layout: ids and palette kept, required frames "
        "only. Every mask is checked before anything is written.",
    )
    add = parser.add_argument
    add("predictions", type=Path, metavar="PREDICTIONS", help="folder with one folder per sequence")
    add("output", type=Path, metavar="OUTPUT", help="a new folder, or a file that ends in .zip")
    add("--format", choices=("davis", "youtube-vos"), default="davis", help="default: davis")
    add("--meta", type=Path, metavar="meta.json", help="youtube-vos: lists the videos, objects and frames to pack")
    add("--reference", type=Path, metavar="DIR", help="davis: images or annotations that tell the frames to pack")
    add("--image-set", type=Path, metavar="val.txt", help="davis: the sequences to pack, one per line")
    add("--strict", action="store_true", help="refuse what is only noted otherwise")
    add("--workers", type=int, metavar="N", help="processes; default: one per core")
    return parser
