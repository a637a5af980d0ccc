"""`vos-lightning evaluate`: score folders of masks as the field does."""

from collections.abc import Sequence
from pathlib import Path

from vos_lightning.commands.parser import Parser


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run."""
    options = vars(_parser().parse_args(arguments))
    from vos_lightning.evaluation.command import evaluate_command  # after --help has been answered

    return evaluate_command(options.pop("predictions"), options.pop("annotations"), **options)


def _parser() -> Parser:
    parser = Parser(
        prog="vos-lightning evaluate",
        description="Score folders of masks against ground truth: region similarity J, contour accuracy F, and their "
        "mean, with the official numbers. Both are folders of sequence folders of PNGs; the sequences found in "
        "PREDICTIONS are scored. Several PREDICTIONS are compared side by side.",
    )
    add = parser.add_argument
    add("predictions", type=Path, nargs="+", metavar="PREDICTIONS", help="folder(s) with one folder per sequence")
    add("--annotations", type=Path, required=True, metavar="GT", help="folder of ground truth, laid out alike")
    add(
        "--protocol",
        choices=("davis2017", "davis2016", "youtube-vos"),
        default="davis2017",
        help="davis2017: several objects, 255 is void (default); davis2016: all labels are one object, 255 too; "
        "youtube-vos: J and F of seen and unseen categories, and G",
    )
    add("--meta", type=Path, metavar="meta.json", help="youtube-vos: categories; default: the file beside GT")
    add("--train-meta", type=Path, metavar="meta.json", help="youtube-vos: its categories count as seen")
    add("--json", type=Path, metavar="OUT.json", help="write all numbers, unrounded")
    add("--csv", type=Path, metavar="OUT.csv", help="write one line per object")
    add("--html", type=Path, metavar="OUT.html", help="write a report for the browser: curves and the worst frames")
    add("--frames", type=Path, metavar="DIR", help="folder of sequence folders of images, drawn on in the report")
    add("--strict", action="store_true", help="refuse what is only noted otherwise")
    add("--workers", type=int, metavar="N", help="processes; default: one per core")
    return parser
