"""Networks ready to track, whatever they are: what the segmenter and the tasks ask of them."""

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from vos_lightning.errors import VOSError
from vos_lightning.inference.tracking.cutout import CutoutPropagator, MendingPropagator
from vos_lightning.inference.tracking.propagator import Propagator
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.models.cutout_tagging import CutoutTagging
from vos_lightning.models.folding import inference_copy


class Tracker(ABC):
    """Networks, and how masks are read out with them.

    Attributes:
        settings: that belong to the weights.
    """

    settings: TrackingSettings

    @property
    @abstractmethod
    def stride(self) -> int:
        """Pixels of the network's input per feature position."""

    @abstractmethod
    def prepared(self, device: torch.device, precision: torch.dtype = torch.float32) -> Self:
        """One for inference, with copies of the networks; these stay as they are.

        Args:
            device: of the copies.
            precision: of the networks and similarities, float32 or bfloat16; colours, affinities and masks are float32.
        """

    @abstractmethod
    def propagator(self, settings: TrackingSettings | None = None) -> Propagator:
        """A propagator for one video; other settings than its own may be given."""

    @abstractmethod
    def adaptable(self) -> tuple[nn.Module, float]:
        """The encoder of queries and keys, and what divides their similarities.

        Raises:
            VOSError: there is none that learns.
        """

    @abstractmethod
    def adapted(self, encoder: nn.Module) -> Self:
        """One with another encoder in the place of the one that is `adaptable`."""

    @abstractmethod
    def features(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        """Lab frames (N, 3, H, W) -> their features as queries and as keys, (N, D, h, w) each."""


@dataclass(frozen=True)
class ReconstructionTracker(Tracker):
    """Tracks by local attention between features (SSVOS).

    Args:
        encoder: Φ_q.
        reference_encoder: Φ_r, None where there is none.
        temperature: divides the similarities.
        settings: of the readout.
        precision: of the similarities.
    """

    encoder: nn.Module
    reference_encoder: nn.Module | None
    temperature: float
    settings: TrackingSettings
    precision: torch.dtype = torch.float32

    @property
    def stride(self) -> int:
        """See the base class."""
        return cast("int", self.encoder.stride)

    def prepared(self, device: torch.device, precision: torch.dtype = torch.float32) -> Self:
        """See the base class."""
        encoder, other = inference_copy(self.encoder, device, precision), self.reference_encoder
        reference_encoder = None if other is None else inference_copy(other, device, precision)
        return replace(self, encoder=encoder, reference_encoder=reference_encoder, precision=precision)

    def propagator(self, settings: TrackingSettings | None = None) -> ReconstructionPropagator:
        """See the base class."""
        settings = settings or self.settings
        reference_encoder = self.reference_encoder if settings.momentum_encoder else None
        return ReconstructionPropagator(self.encoder, reference_encoder, settings, self.temperature, self.precision)

    def adaptable(self) -> tuple[nn.Module, float]:
        """See the base class."""
        if not any(True for _ in self.encoder.parameters()):
            raise VOSError("these weights have nothing that could be adapted; give others, or adapt with the U-Net")
        return self.encoder, self.temperature

    def adapted(self, encoder: nn.Module) -> Self:
        """See the base class; a momentum encoder would not know of it, and goes."""
        return replace(self, encoder=encoder, reference_encoder=None)

    def features(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class; keys are those of the momentum encoder where the settings have it."""
        query: Tensor = self.encoder(lab)
        other = self.reference_encoder if self.settings.momentum_encoder else None
        return query, query if other is None else other(lab)


@dataclass(frozen=True)
class CutoutTracker(Tracker):
    """Tracks by painting masks out of a space-time memory (CT-VOS), or by mending those that are copied out of it.

    Args:
        network: of CT-VOS.
        settings: of the readout.
        precision: of the similarities.
    """

    network: CutoutTagging
    settings: TrackingSettings
    precision: torch.dtype = torch.float32

    @property
    def stride(self) -> int:
        """See the base class."""
        return self.network.stride

    def prepared(self, device: torch.device, precision: torch.dtype = torch.float32) -> Self:
        """See the base class."""
        return replace(self, network=inference_copy(self.network, device, precision), precision=precision)

    def propagator(self, settings: TrackingSettings | None = None) -> Propagator:
        """See the base class."""
        settings = settings or self.settings
        if not self.network.copy:
            return CutoutPropagator(self.network, settings)
        return MendingPropagator(self.network, self._encodes_alike, settings, self.precision)

    def adaptable(self) -> tuple[nn.Module, float]:
        """See the base class."""
        if not self.network.copy or not self._encodes_alike:
            raise VOSError(
                "queries and keys of these weights have encoders of their own, which can't be adapted; give weights "
                "that began as MAST's, such as ct_vos, or adapt with the U-Net"
            )
        return self.network.query_encoder, self.network.temperature

    def adapted(self, encoder: nn.Module) -> Self:
        """See the base class."""
        network = deepcopy(self.network)
        network.query_encoder = network.key_encoder = encoder
        return replace(self, network=network)

    @property
    def _encodes_alike(self) -> bool:
        """Whether queries and keys have equal encoders, as where both are MAST's and frozen."""
        states = (encoder.state_dict().values() for encoder in (self.network.query_encoder, self.network.key_encoder))
        return all(torch.equal(a, b) for a, b in zip(*states, strict=True))

    def features(self, lab: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class."""
        return self.network.query_encoder(lab), self.network.key_encoder(lab)
