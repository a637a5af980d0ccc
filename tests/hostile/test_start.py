"""What a command doesn't need, it doesn't wait for."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "pytorch_lightning", "kornia", "albumentations", "cv2", "wandb", "av", "PIL", "numpy", "rich"}
LIGHT_HELP = ("evaluate", "export", "audit", "prepare")

_PROGRAM = """
import json, sys
{body}
print(json.dumps(sorted(sys.modules)))
"""


def imported(body):
    """Top-level packages that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(body=body)], capture_output=True, text=True, check=True, timeout=1800
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_help_imports_nothing_heavy():
    assert not HEAVY & imported("from vos_lightning.cli import main; assert main(['--help']) == 0")


def test_the_package_imports_nothing_heavy():
    assert not HEAVY & imported("import vos_lightning")


@pytest.mark.parametrize("command", LIGHT_HELP)
def test_help_of_commands_imports_nothing_heavy(command):
    body = f"""
from vos_lightning.cli import main
try:
    main([{command!r}, "--help"])
except SystemExit:
    pass"""
    assert not HEAVY & imported(body)


def test_an_unknown_command_imports_nothing_heavy():
    assert not HEAVY & imported("from vos_lightning.cli import main; assert main(['sgement']) == 2")
