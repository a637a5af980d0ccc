"""What others say while a run goes on: without control codes, and without what nobody can do anything about."""

import logging
import warnings

import pytest
import torch.distributed as dist

from vos_lightning.lightning_cli import command
from vos_lightning.lightning_cli.messages import hide_messages
from vos_lightning.lightning_cli.rank_errors import dead_rank

GLOO = (
    "[/__w/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:6: Connection reset by peer"
)


def test_names_in_warnings_and_log_lines_are_escaped(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # put back at the end
    with warnings.catch_warnings():
        hide_messages()
        text = warnings.formatwarning(UserWarning("left out: \x1b[31mred\nnext"), UserWarning, "a.py", 3)
    assert "\x1b" not in text
    assert "left out: \\x1b[31mred\nnext" in text
    record = logging.LogRecord("x", logging.INFO, "a.py", 1, "going on from %s", ("\x1b[2J",), None)
    assert logging.getLogger("pytorch_lightning.utilities.rank_zero").filter(record)
    assert record.getMessage() == "going on from \\x1b[2J"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(GLOO),
        dist.DistBackendError("NCCL communicator was aborted on rank 0"),
        dist.DistNetworkError("failed to recv, got 0 bytes"),
        RuntimeError("Rank 0 successfully reached monitoredBarrier, but received errors from others"),
    ],
)
def test_a_lost_rank_is_one_line_on_the_others(monkeypatch, capsys, error):
    def fail(_):
        try:
            raise error
        except RuntimeError as cause:
            raise ValueError("while cleaning up") from cause

    monkeypatch.setattr(command, "_run", fail)
    assert command.main([]) == 1
    told = capsys.readouterr().err
    assert told.startswith("vos-lightning: error: another process of the run has ended")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), ConnectionResetError("of a tracker"), OSError("x")]
)
def test_other_errors_are_no_lost_rank(error):
    assert dead_rank(error) is None
