import io

import pytest

from vos_lightning.io.terminal import encoding_of, printable, say


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("späte Sequenz ±", "utf-8", "späte Sequenz ±"),
        ("a ± b…", "ascii", r"a \xb1 b\u2026"),
        ("a\nb\tc\r", "utf-8", r"a\nb\tc\r"),
        ("\x1b[31mred\x1b[0m\x07\x9b", "utf-8", r"\x1b[31mred\x1b[0m\x07\x9b"),
        ("turned \u202e round", "utf-8", r"turned \u202e round"),
        ("no text \udcff", "utf-8", r"no text \udcff"),
    ],
)
def test_what_steers_or_has_no_code_is_escaped(text, encoding, expected):
    assert printable(text, encoding) == expected


def test_lines_reach_any_stream():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    say("\u2500 line\nbreak", stream)
    stream.flush()
    assert raw.getvalue() == b"\\u2500 line\\nbreak\n"
    kept = io.StringIO()
    say("±", kept)
    assert kept.getvalue() == "±\n"
    assert encoding_of(kept) == "utf-8"


def test_a_line_is_in_a_pipe_at_once():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(io.BufferedWriter(raw))
    say("1/2 a.mp4: done", stream)
    assert raw.getvalue() == b"1/2 a.mp4: done\n"
