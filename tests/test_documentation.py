"""What the documentation tells to type can be typed: command lines are parsed by the commands, and not run."""

import argparse
import ast
import inspect
import json
import re
import runpy
import shlex
import sys
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import pytest

from vos_lightning.cli import COMMANDS, main
from vos_lightning.lightning_cli.class_names import datamodules, models
from vos_lightning.lightning_cli.trainer import TrainerCLI

ROOT = Path(__file__).parents[1]
PLACES = ("*.md", "docs/**/*.md", "vos_lightning/**/*.md", "notebooks/*.ipynb")
PAGES = [page for place in PLACES for page in sorted(ROOT.glob(place))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
OWN = {"vos-lightning", "lightning", "python", "pip"}
LIGHTNING = {"fit", "validate", "test", "predict"}


class ParsedError(Exception):
    """The arguments are fine; nothing is to be run."""


def text(page):
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8")
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def cases(found):
    """Parameters out of (page, content), each content once, named by its page."""
    once = {content: page for page, content in found}
    return [pytest.param(content, id=f"{page.relative_to(ROOT)}: {content}"[:150]) for content, page in once.items()]


def command_lines():
    """Of fenced shell blocks and of indented ones."""
    for page in PAGES:
        blocks = [block for language, block in FENCE.findall(text(page)) if language == "bash"]
        blocks += re.findall(r"(?:^ {4}[\w.].*\n)+", FENCE.sub("", text(page)), re.MULTILINE)
        for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
            for one in line.partition("#")[0].split("&&"):
                if one.split() and one.split()[0] in OWN:
                    yield page, one.strip()


def mentions():
    """Commands and options that sentences name."""
    for page in PAGES:
        for code in re.findall(r"`([^`]+)`", FENCE.sub("", text(page))):
            if code.startswith(("vos-lightning ", "lightning ", "--")):
                yield page, " ".join(code.split())


def python_blocks():
    for page in PAGES:
        yield from ((page, block) for language, block in FENCE.findall(text(page)) if language == "python")


@pytest.fixture
def parse(monkeypatch):
    """Parse the words of a command, which ends once it knows what it was told."""
    known = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *arguments, **options):
        known(self, *arguments, **options)
        raise ParsedError

    def stop(self):
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.setattr(TrainerCLI, "_parse_ckpt_path", stop)
    monkeypatch.chdir(ROOT)

    def run(program, *arguments):
        if program in ("vos-lightning", "lightning"):
            raise SystemExit(main(arguments))
        else:
            script, *arguments = arguments
            monkeypatch.syspath_prepend(str(Path(script).parent))
            monkeypatch.setattr(sys, "argv", [script, *arguments])
            runpy.run_path(script, run_name="__main__")

    return run


@pytest.mark.parametrize("line", cases(command_lines()))
def test_a_command_line_that_is_shown_is_one(line, parse):
    words = shlex.split(line)
    if words[0] == "pip":
        declared = ConfigParser()
        declared.read(ROOT / "setup.cfg")
        asked = re.findall(r"\w+", " ".join(re.findall(r"\[(.*?)\]", line)))
        assert set(asked) <= set(declared["options.extras_require"])
    else:
        with pytest.raises((ParsedError, SystemExit)) as ended:
            parse(*words)
        assert getattr(ended.value, "code", 0) == 0  # --help ends with 0, what can't be parsed with 2


@pytest.fixture
def options(parse, monkeypatch):
    """All options of all commands and scripts; of models and data, those that any class of ours takes."""
    names = {"--version"}

    def note(parser, *_, **__):
        names.update(parser._option_string_actions)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", note)
    monkeypatch.setattr(TrainerCLI, "_parse_ckpt_path", lambda cli: note(cli._parser("fit")))
    lines = [("vos-lightning", command) for command in set(COMMANDS) - LIGHTNING]
    lines += [("vos-lightning", "fit", "--config", "mast_videos", "--data.init_args.root=x")]
    lines += [("python", path) for place in ("examples", "benchmarks") for path in Path(place).glob("[!_]*.py")]
    for line in lines:
        with pytest.raises(ParsedError):
            parse(*map(str, line))
    for kind, classes in (("model", models()), ("data", datamodules())):
        for path in classes.values():
            module, _, name = path.rpartition(".")
            parameters = inspect.signature(getattr(import_module(module), name)).parameters
            names |= {f"--{kind}.init_args.{one}" for one in parameters}
    return names


def test_options_and_commands_that_sentences_name_are_there(options):
    for page, code in mentions():
        words = code.split()
        if not words[0].startswith("--"):
            assert words[1] in COMMANDS, f"{page}: {code}"
        for name in re.findall(r"(?<!\S)--[\w.-]+", code):
            known = {name, ".".join(name.split(".")[:3]), ".".join(name.split(".")[:2])}  # options hold options
            assert known & options, f"{page}: {code}"


@pytest.mark.parametrize("block", cases(python_blocks()))
def test_what_python_that_is_shown_imports_is_there(block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            assert all(import_module(alias.name) for alias in node.names)


def test_a_package_page_shows_no_picture_and_links_to_no_file():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = runpy.run_path(str(ROOT / "setup.py"))["page"](readme)
    assert not re.findall(r"!\[|\]\((?!https?:)", page)
    assert "*Clip" not in page
    assert re.findall(r"^#.*$", page, re.MULTILINE) == re.findall(r"^#.*$", readme, re.MULTILINE)
    assert "[SAM 2](https://github.com/facebookresearch/sam2)" in page
