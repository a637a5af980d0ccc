"""`vos-lightning audit`: is a dataset whole, and what can be trained on it?"""

import json
from collections.abc import Sequence
from pathlib import Path

from vos_lightning.commands.parser import Parser
from vos_lightning.io.terminal import say


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments and run; 1 exactly when a file is missing, corrupt or invalid."""
    options = _parser().parse_args(arguments)
    from vos_lightning.data.tools.audit import audit_dataset  # after --help has been answered
    from vos_lightning.io.earlier import check_replaceable, is_table_of
    from vos_lightning.io.files import atomic_path

    if options.json is not None:
        check_replaceable(options.json, lambda content: is_table_of(content, {"root", "problems", "trainable"}))
    report = audit_dataset(options.root, options.format, options.clip_length, options.threads)
    if options.json is not None:
        with atomic_path(options.json) as temporary:
            temporary.write_text(json.dumps(report.as_dict(), indent=1), encoding="utf-8")
    for line in report.lines():
        say(line)
    return report.exit_code


def _parser() -> Parser:
    parser = Parser(
        prog="vos-lightning audit",
        description="Decode every frame and mask of a dataset; count them, and name each file that is missing, corrupt "
        "or invalid. Exit code 1 if there is one. Absent splits and short videos are only reported.",
    )
    add = parser.add_argument
    add("root", type=Path, metavar="DATASET_ROOT", help="folder of the dataset")
    add("--format", choices=("davis", "youtube-vos", "kinetics", "videos"), required=True, help="its layout")
    add("--clip-length", type=int, default=2, metavar="T", help="frames that a training clip needs; default: 2")
    add("--threads", type=int, metavar="N", help="videos at a time; default: two per core")
    add("--json", type=Path, metavar="OUT.json", help="also write the report for machines")
    return parser
