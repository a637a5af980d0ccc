"""The documentation's site: pip install -c constraints.txt -e ".[docs]" && sphinx-build -W docs site."""

import re
from typing import Any

import vos_lightning

project = "vos_lightning"
author = copyright = "The vos_lightning authors"
version = release = vos_lightning.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "vos_lightning"
html_static_path = ["_static"]
html_css_files = ["site.css"]
smartquotes = False  # quotes of docstrings are those of code
default_role = "code"  # backticks of docstrings, as of Markdown
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
myst_heading_anchors = 3


def _name_files(app: Any, document: str, source: list[str]) -> None:  # noqa: ANN401 - as Sphinx calls it
    """Links of pages to code, which is no page of the site, show the file's name alone."""
    source[0] = re.sub(
        r"\[([^\]]+)\]\((?:\.\./)+(?:vos_lightning|examples|benchmarks|notebooks)/[^)]*\)", r"`\1`", source[0]
    )


def setup(app: Any) -> None:  # noqa: ANN401
    """Have Sphinx call it."""
    app.connect("source-read", _name_files)
