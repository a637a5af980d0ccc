"""A report may take the place of an earlier one, and of nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

from vos_lightning.errors import VOSError, read_error
from vos_lightning.io.files import check_writable

# bytes; no report of ours comes near
_LARGEST = 1 << 28


def check_replaceable(path: str | Path, is_earlier: Callable[[bytes], bool]) -> None:
    """Find out before the work that a report can be written, and that nothing else is lost by it.

    Args:
        path: of the report. What is new, empty, a pipe or a device can always be written to.
        is_earlier: whether the content of a file is that of an earlier report.

    Raises:
        VOSError: it can't be written, see `check_writable`, or is another file.
    """
    path = Path(path)
    check_writable(path)
    if not path.is_file() or not (size := path.stat().st_size):
        return
    try:
        known = size <= _LARGEST and is_earlier(path.read_bytes())
    except OSError as error:
        raise read_error(path, error, VOSError(f"{path}: cannot be read ({error.strerror})")) from error
    if not known:
        raise VOSError(f"{path}: is there already, and is no earlier report; choose another name, or move it away")


def is_table_of(content: bytes, names: set[str]) -> bool:
    """Whether a file's content is a JSON object that has these names."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and names <= value.keys()
