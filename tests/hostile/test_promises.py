"""`SECURITY.md`, and the table beside this file, name the tests that hold what is promised."""

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent


def test_every_test_that_it_names_is_there():
    pages = (TESTS.parent / "SECURITY.md", TESTS / "hostile" / "README.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    named = re.findall(r"`((?:\w+/)+\w+(?:\.py)?)`", text)
    assert len(named) > 40
    assert [name for name in named if not (TESTS / name).exists()] == []
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    for name in re.findall(r"`(test_\w+|…\w+…)`", text):
        assert re.search(rf"def \w*{name.strip('…')}\w*\(", sources), name
