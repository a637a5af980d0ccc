"""Sequences count once, and those without a share not at all."""

import pytest

from vos_lightning.metrics import TrueMatches


def test_each_sequence_counts_once():
    metric = TrueMatches()
    for share, name in ((0.2, "a"), (0.6, "b"), (0.2, "a"), (float("nan"), "c")):
        metric.update(share, name)
    assert metric.compute().item() == pytest.approx(0.4)
    metric.reset()
    assert metric.compute().isnan()
