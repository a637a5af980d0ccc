"""Text for a terminal, a pipe or a spreadsheet, whatever the names in it hold and whatever the locale can show."""

from __future__ import annotations

import sys
from typing import TextIO, TypeVar

T = TypeVar("T")


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Escape what could steer a terminal or break a line, and what the encoding doesn't have.

    >>> printable("a\nb \x1b[31m±", "ascii")
    'a\\nb \\x1b[31m\\xb1'
    """
    escaped = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


def plain_cell(value: T) -> T | str:
    """A cell of a CSV file: text that a spreadsheet would run as a formula gets an apostrophe in front.

    >>> plain_cell("=1+1"), plain_cell("dog"), plain_cell(-0.5)
    ("'=1+1", 'dog', -0.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def encoding_of(stream: TextIO) -> str:
    """What a stream encodes to; one that holds text, as in a notebook, takes everything."""
    return getattr(stream, "encoding", None) or "utf-8"


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one line at once, also into a pipe; to the standard output if no stream is given."""
    stream = stream or sys.stdout
    print(printable(text, encoding_of(stream)), file=stream, flush=True)
