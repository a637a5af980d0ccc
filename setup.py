"""The description on a package page: the README without its pictures and links to files, which no package page has."""

import re
from pathlib import Path

from setuptools import setup

_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)\n\n(?:\*[^\n*][^*]*\*\n\n)?")
_LINK_TO_FILE = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")


def page(readme: str) -> str:
    """The text of a README without pictures, the captions below them, and links that are relative."""
    return _LINK_TO_FILE.sub(r"\1", _PICTURE.sub("", readme))


if __name__ == "__main__":
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    setup(long_description=page(readme), long_description_content_type="text/markdown")
