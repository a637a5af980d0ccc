"""Damages files as disks, networks and attackers do, always the same for equal seeds."""

from __future__ import annotations

import random

_NUMBERS = (
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x01",
)
_TEXTS = (
    b"{",
    b"}",
    b"[",
    b"null",
    b"-1",
    b"1e999",
    b'"',
    b"\\u0000",
    b"../../",
    b"!!python/object/apply:os.system",
    b"&a *a",
)


def mutations(data: bytes, count: int, seed: int = 0) -> list[bytes]:
    """`count` damaged copies of `data`."""
    draw = random.Random(seed)
    return [_mutated(data, draw) for _ in range(count)]


def _mutated(data: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        data = draw.choice(_KINDS)(data, draw)
    return data


def _flipped(data: bytes, draw: random.Random) -> bytes:
    copy = bytearray(data)
    for _ in range(min(len(copy), draw.choice((1, 3, 30)))):
        copy[draw.randrange(len(copy))] = draw.randrange(256)
    return bytes(copy)


def _cut_off(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _cut_out(data: bytes, draw: random.Random) -> bytes:
    start, length = _span(data, draw)
    return data[:start] + data[start + length :]


def _zeroed(data: bytes, draw: random.Random) -> bytes:
    start, length = _span(data, draw)
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def _repeated(data: bytes, draw: random.Random) -> bytes:
    start, length = _span(data, draw)
    return data[:start] + 2 * data[start : start + length] + data[start + length :]


def _renumbered(data: bytes, draw: random.Random) -> bytes:
    """An extreme number, most often among the first bytes, where sizes and offsets are."""
    start = draw.randrange(min(len(data), draw.choice((64, 256, 1 << 30))) or 1)
    return data[:start] + draw.choice(_NUMBERS) + data[start + 4 :]


def _worded(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    return data[:start] + draw.choice(_TEXTS) + data[start + draw.randrange(4) :]


def _span(data: bytes, draw: random.Random) -> tuple[int, int]:
    return draw.randrange(len(data) + 1), draw.choice((1, 7, 64, 1000))


_KINDS = (_flipped, _cut_off, _cut_out, _zeroed, _repeated, _renumbered, _worded)
