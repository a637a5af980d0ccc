"""`SECURITY.md` names the tests that hold its promises."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent


def test_every_test_that_it_names_is_there():
    text = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+\w+(?:\.py)?)`", text)
    assert len(named) > 20
    assert [name for name in named if not (TESTS / name).exists()] == []
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    for name in re.findall(r"`(test_\w+|…\w+…)`", text):
        assert re.search(rf"def \w*{name.strip('…')}\w*\(", sources), name
