"""Networks ready to track, whatever they are: what the segmenter and the tasks ask of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from vos_lightning.inference.tracking.cutout import CutoutPropagator
from vos_lightning.inference.tracking.propagator import Propagator
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.models.cutout_tagging import CutoutTagging


class Tracker(ABC):
    """Networks, and how masks are read out with them.

    Attributes:
        settings: that belong to the weights.
    """

    settings: TrackingSettings

    @property
    @abstractmethod
    def networks(self) -> list[nn.Module]:
        """All of them."""

    @abstractmethod
    def propagator(self, settings: TrackingSettings | None = None) -> Propagator:
        """A propagator for one video; other settings than its own may be given."""

    def to(self, device: torch.device) -> None:
        """Move the networks to a device, channels last, in evaluation mode."""
        for network in self.networks:
            network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


@dataclass(frozen=True)
class ReconstructionTracker(Tracker):
    """Tracks by local attention between features (SSVOS).

    Args:
        encoder: Φ_q.
        reference_encoder: Φ_r, None where there is none.
        temperature: divides the similarities.
        settings: of the readout.
    """

    encoder: nn.Module
    reference_encoder: nn.Module | None
    temperature: float
    settings: TrackingSettings

    @property
    def networks(self) -> list[nn.Module]:
        """See the base class."""
        return [network for network in (self.encoder, self.reference_encoder) if network is not None]

    def propagator(self, settings: TrackingSettings | None = None) -> ReconstructionPropagator:
        """See the base class."""
        settings = settings or self.settings
        reference_encoder = self.reference_encoder if settings.momentum_encoder else None
        return ReconstructionPropagator(self.encoder, reference_encoder, settings, self.temperature)


@dataclass(frozen=True)
class CutoutTracker(Tracker):
    """Tracks by painting masks out of a space-time memory (CT-VOS).

    Args:
        network: of CT-VOS.
        settings: of the readout.
    """

    network: CutoutTagging
    settings: TrackingSettings

    @property
    def networks(self) -> list[nn.Module]:
        """See the base class."""
        return [self.network]

    def propagator(self, settings: TrackingSettings | None = None) -> CutoutPropagator:
        """See the base class."""
        return CutoutPropagator(self.network, settings or self.settings)
