"""How the adapter of a sequence is trained and used: the paper's values, and a preset for CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from vos_lightning.errors import VOSError


@dataclass(frozen=True)
class AdapterSettings:
    """Online adaptation of one sequence (SSVOS §3.3, §4.1).

    The training is the paper's, with our values where it gives none (`batch_size`, `decay`, `frame_decay`,
    `min_frame_weight`). The masks are not: the paper takes the network's output alone, as `PAPER_SETTINGS` do; `prior`
    and `min_fit` combine it with the propagated masks.

    Args:
        mode: "offline" learns from the whole propagated sequence, then segments it; "causal" segments frame t after
            learning from frames before t only, as a live stream needs.
        steps: of training in offline mode. Stopping early matters: the network learns the object before the drift.
        seconds: of training per sequence, at most; checked before each step. None sets no limit.
        batch_size: frames per step.
        size: frames are resized to a square of this side, in pixels; a multiple of 32.
        width: multiplies the network's channels, 1.0 is ResNet-18's.
        learning_rate: of Adam.
        decay_every: steps after which the learning rate is multiplied by `decay`; it stops falling after `steps`.
        decay: see `decay_every`.
        frame_decay: the loss of frame t weighs ``max(frame_decay ** t, min_frame_weight)``, since propagation drifts.
        min_frame_weight: see `frame_decay`.
        prior: added to the logit of each pixel's propagated class, so that the propagated mask decides where the
            network is unsure; 0 in the paper.
        min_fit: objects whose given masks the network reproduces with a smaller intersection over union keep their
            propagated masks, such as thin or tiny ones that it could not learn; 0 in the paper.
        refresh_every: frames between two trainings in causal mode.
        refresh_steps: of each training in causal mode; each continues the last one.
        max_frames: number of frames kept for training; of longer sequences an even share.
        seed: of weights, augmentation and order; the last two depend on the name of the sequence as well.
    """

    mode: Literal["offline", "causal"] = "offline"
    steps: int = 200
    seconds: float | None = None
    batch_size: int = 4
    size: int = 480
    width: float = 1.0
    learning_rate: float = 2e-4
    decay_every: int = 50
    decay: float = 0.5
    frame_decay: float = 0.995
    min_frame_weight: float = 0.2
    prior: float = 2.0
    min_fit: float = 0.7
    refresh_every: int = 5
    refresh_steps: int = 20
    max_frames: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate the values.

        Raises:
            VOSError: names the option.
        """
        if self.mode not in ("offline", "causal"):
            raise VOSError(f"adapter: mode is {self.mode!r}; expected 'offline' or 'causal'")
        for name in ("batch_size", "size", "decay_every", "refresh_every", "max_frames"):
            if getattr(self, name) < 1:
                raise VOSError(f"adapter: {name} is {getattr(self, name)}; expected 1 or more")
        for name in ("steps", "refresh_steps", "seconds", "prior", "min_fit"):
            if (getattr(self, name) or 0) < 0:
                raise VOSError(f"adapter: {name} is {getattr(self, name)}; expected 0 or more")
        for name in ("width", "learning_rate", "decay", "frame_decay"):
            if not getattr(self, name) > 0:
                raise VOSError(f"adapter: {name} is {getattr(self, name)}; expected a number above 0")
        if self.size % 32:
            raise VOSError(f"adapter: size is {self.size}; expected a multiple of 32, the network's stride")

    @classmethod
    def preset(cls, device: str | torch.device) -> AdapterSettings:
        """What fits a device: `CPU_SETTINGS`, or the defaults."""
        return CPU_SETTINGS if torch.device(device).type == "cpu" else cls()

    def frame_weight(self, t: int) -> float:
        """Weight of the loss of frame t, in (0, 1]."""
        return max(self.frame_decay**t, self.min_frame_weight)

    def learning_rate_factor(self, step: int) -> float:
        """What the learning rate is multiplied by in a step, counted from 0; in (0, 1]."""
        factor: float = self.decay ** (min(step, self.steps) // self.decay_every)
        return factor


PAPER_SETTINGS = AdapterSettings(prior=0.0, min_fit=0.0)
"""The paper's: ResNet-18 at 480×480, masks by the network alone."""

CPU_SETTINGS = AdapterSettings(size=256, width=0.5, learning_rate=1e-3)
"""Half of the channels at 256×256, for CPUs. So small a network needs a higher learning rate; see docs/ablations.md."""
