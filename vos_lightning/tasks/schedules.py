"""Learning rate schedules, per optimizer step."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vos_lightning.errors import VOSError

WARMUP_STEPS = 100


def cosine_schedule(optimizer: Optimizer, steps: float) -> LambdaLR:
    """A short linear warm-up, then down to zero along a cosine.

    Args:
        optimizer: whose learning rate is scaled.
        steps: of the whole run.

    Raises:
        VOSError: the run has no end.
    """
    if math.isinf(steps):
        raise VOSError(
            "the learning rate falls over the whole run, and this one has no end; set trainer.max_steps or max_epochs"
        )
    warmup = min(WARMUP_STEPS, int(steps) // 10)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return LambdaLR(optimizer, factor)


def halving_schedule(optimizer: Optimizer, milestones: Sequence[int], samples_per_step: Callable[[], int]) -> LambdaLR:
    """Halve the learning rate after given numbers of samples, as MAST does.

    Args:
        optimizer: whose learning rate is scaled.
        milestones: samples seen, ascending.
        samples_per_step: samples of one optimizer step on all ranks together, asked once training has begun.
    """

    def factor(step: int) -> float:
        return 1.0 if step == 0 else 0.5 ** bisect_right(milestones, step * samples_per_step())

    return LambdaLR(optimizer, factor)
