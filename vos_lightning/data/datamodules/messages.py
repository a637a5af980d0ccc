"""Messages with names of files in them, once per run; what could steer a terminal is escaped."""

from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from vos_lightning.io.terminal import printable


def inform(text: str) -> None:
    """Log a line on the first rank."""
    rank_zero_info(printable(text))


def warn(text: str) -> None:
    """Warn on the first rank."""
    rank_zero_warn(printable(text))
