"""The share of true matches as a torchmetrics class."""

import zlib
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class TrueMatches(Metric):
    """Mean share of true matches over sequences, each counted once however often, and on whichever rank, it comes.

    Example:
        >>> metric = TrueMatches()
        >>> for sequence, share in (("dog", 0.5), ("cat", 0.75), ("dog", 0.5)):
        ...     metric.update(share, sequence)
        >>> metric.compute()
        tensor(0.6250)
    """

    is_differentiable: ClassVar[bool] = False  # type: ignore[misc]
    higher_is_better: ClassVar[bool] = True  # type: ignore[misc]
    full_state_update: ClassVar[bool] = False  # type: ignore[misc]

    names: list[Tensor]
    shares: list[Tensor]

    def __init__(self) -> None:
        """Start without sequences."""
        super().__init__()
        self.add_state("names", default=[], dist_reduce_fx="cat")
        self.add_state("shares", default=[], dist_reduce_fx="cat")

    def update(self, share: float, sequence: str) -> None:
        """Take in a sequence.

        Args:
            share: in [0, 1], see `functional.matches.true_matches`; NaN, where nothing was to be matched, is left out.
            sequence: its name.
        """
        if share == share:
            self.names.append(torch.tensor([zlib.crc32(sequence.encode())], device=self.device))
            self.shares.append(torch.tensor([share], device=self.device))

    def compute(self) -> Tensor:
        """A scalar in [0, 1]; NaN without sequences."""
        if not len(self.names):
            return torch.tensor(float("nan"), device=self.device)
        names, shares = dim_zero_cat(self.names).tolist(), dim_zero_cat(self.shares).tolist()
        unique = dict(zip(names, shares, strict=True))
        return torch.tensor(sum(unique.values()) / len(unique), device=self.device)
