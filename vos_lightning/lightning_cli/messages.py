"""Messages of Lightning and torch that a user can do nothing about are not shown."""

import logging
import warnings

from vos_lightning.io.terminal import printable

_plain_format = warnings.formatwarning

_WARNINGS = (
    ".*does not have many workers.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    "Total length of `list` across ranks is zero.*",
    "Precision .* is not supported by the model summary.*",
    "Checkpoint directory .* exists and is not empty.*",
    ".*`tensorboardX` has been removed as a dependency.*",  # logs go to CSV files unless TensorBoard is installed
    "Grad strides do not match bucket view strides.*",
    r".*use `self.log\('(val|test)/.*sync_dist=True.*",  # torchmetrics has gathered the ranks' rows already
    "The dirpath has changed from.*",  # a new run from another's checkpoint, as was asked for
    "Be aware that when using `ckpt_path`, callbacks used.*",  # tests and predictions need none of them
    "The number of training batches .* is smaller than the logging interval.*",  # steps count on over epochs
    "Detected pickle protocol .*",  # files that are refused a moment later
    "Found .* module.* in eval mode at the start of training.*",  # momentum encoders are
)
_LOGGED = (
    "Tip: For seamless cloud logging",
    "to estimate number of stepping batches",
    "PU available: False",
    "Trainer already configured with model summary callbacks",
    "Detected KeyboardInterrupt",
    "`weights_only` was not set",  # of what to write; checkpoints are read with weights_only=True
)
_LOGGERS = (
    "pytorch_lightning.utilities.rank_zero",
    "pytorch_lightning.trainer.connectors.checkpoint_connector",
)


def hide_messages() -> None:
    """Filter warnings and log records in this process, and escape control codes in the others."""
    warnings.formatwarning = _format
    for message in _WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_useful)


def _is_useful(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    record.msg, record.args = _printable(text), ()
    return not any(part in text for part in _LOGGED)


def _format(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return _printable(_plain_format(message, category, filename, lineno, line))


def _printable(text: str) -> str:
    """Names in a message can't steer the terminal."""
    return "\n".join(printable(line) for line in text.split("\n"))
