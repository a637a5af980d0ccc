"""Networks ready to track, whatever they are: what the segmenter asks of them."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from vos_lightning.inference.cutout_propagation import CutoutPropagator, CutoutSettings
from vos_lightning.inference.propagation import PropagationSettings, Propagator
from vos_lightning.models.cutout_tagging import CutoutTagging


class SequenceTracker(Protocol):
    """Follows the objects of one video, see `Propagator`."""

    object_ids: list[int]

    def step(self, frame: Tensor, mask: Tensor | None = None) -> Tensor:
        """RGB (3, H, W) uint8 and perhaps given ids (H, W) -> ids (H, W) uint8 of the next frame."""
        ...


class Tracker(Protocol):
    """Networks that make a `SequenceTracker` for each video."""

    def to(self, device: torch.device) -> None:
        """Move the networks, ready for inference."""
        ...

    def propagator(self, max_size: int | None = None) -> SequenceTracker:
        """A tracker for one video whose frames are scaled down to `max_size` pixels, if they are larger."""
        ...


@dataclass(frozen=True)
class ReconstructionTracker:
    """Tracks by local attention between features (SSVOS).

    Args:
        encoder: Φ_q.
        reference_encoder: Φ_r, None where it is Φ_q.
        settings: of the readout.
        max_size: that they track best at, used where no other is asked for; None is the frames' own.
    """

    encoder: nn.Module
    reference_encoder: nn.Module | None
    settings: PropagationSettings
    max_size: int | None = None

    def to(self, device: torch.device) -> None:
        """See `Tracker`."""
        for network in (self.encoder, self.reference_encoder):
            if network is not None:
                to_inference(network, device)

    def propagator(self, max_size: int | None = None) -> Propagator:
        """See `Tracker`."""
        return Propagator(self.encoder, self.reference_encoder, self.settings, max_size or self.max_size)


@dataclass(frozen=True)
class CutoutTracker:
    """Tracks by painting masks out of a space-time memory (CT-VOS).

    Args:
        network: of CT-VOS.
        settings: of the read-out.
        max_size: see `ReconstructionTracker`.
    """

    network: CutoutTagging
    settings: CutoutSettings
    max_size: int | None = None

    def to(self, device: torch.device) -> None:
        """See `Tracker`."""
        to_inference(self.network, device)

    def propagator(self, max_size: int | None = None) -> CutoutPropagator:
        """See `Tracker`."""
        return CutoutPropagator(self.network, self.settings, max_size or self.max_size)


def to_inference(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, channels last, in evaluation mode."""
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
