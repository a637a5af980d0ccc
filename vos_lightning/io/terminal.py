"""Lines for a terminal or a pipe, whatever the names in them hold and whatever the locale can show."""

from __future__ import annotations

import sys
from typing import TextIO


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Escape what could steer a terminal or break a line, and what the encoding doesn't have.

    >>> printable("a\nb \x1b[31m±", "ascii")
    'a\\nb \\x1b[31m\\xb1'
    """
    escaped = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


def encoding_of(stream: TextIO) -> str:
    """What a stream encodes to; one that holds text, as in a notebook, takes everything."""
    return getattr(stream, "encoding", None) or "utf-8"


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one line, to the standard output if no stream is given."""
    stream = stream or sys.stdout
    print(printable(text, encoding_of(stream)), file=stream)
