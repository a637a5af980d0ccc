"""The parser of commands."""

import argparse
from typing import NoReturn

from vos_lightning.io.terminal import printable


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of the usage, which is many."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"vos-lightning: error: {printable(message)}; `{self.prog} --help` says more\n")
