"""How many samples an MP4 file claims to have: FFmpeg takes memory for each of them before it reads one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vos_lightning.errors import CorruptFileError, read_error

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
_FIRST = (b"ftyp", b"moov", b"moof", b"styp", b"mdat", b"wide", b"free", b"skip")


def check_sample_tables(path: Path) -> None:
    """Raise if the samples (ISO 14496-12, `stsz` and `trun`) would take more bytes than the file has.

    Files in other formats, and what is damaged in another way, are left to the decoder.

    Raises:
        CorruptFileError: They would.
        VOSError: The file can't be read.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            claimed = sum(_claims(file, size)) if file.read(8)[4:] in _FIRST else 0
    except OSError as error:
        unreadable = CorruptFileError(f"{path}: this video cannot be read ({error.strerror}); replace it")
        raise read_error(path, error, unreadable) from error
    if claimed > size:
        raise CorruptFileError(f"{path}: this video claims to hold {claimed} bytes in a file of {size}; replace it")


def _claims(file: BinaryIO, size: int) -> Iterator[int]:
    """Least numbers of bytes that samples take, one for each table of them."""
    for kind, start in _boxes(file, size):
        if kind in (b"stsz", b"trun"):
            file.seek(start + 4)  # version and flags
            first, second = int.from_bytes(file.read(4), "big"), int.from_bytes(file.read(4), "big")
            yield first if kind == b"trun" else max(1, first) * second


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Types of the boxes without boxes in them, and where their contents start."""
    pending = [(0, size)]
    while pending:
        start, end = pending.pop()
        if end - start < 8:
            continue
        file.seek(start)
        header = file.read(16)
        length, kind, content = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if length == 1:
            length, content = int.from_bytes(header[8:], "big"), start + 16
        stop = end if length == 0 else min(end, start + length)
        if stop < content:
            continue
        pending.append((stop, end))
        if kind in _CONTAINERS:
            pending.append((content, stop))
        else:
            yield kind, content
