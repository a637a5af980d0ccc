"""Carry masks through a video by the affinity that was learned from colours (SSVOS eq. 4)."""

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.inference.tracking.drawing import draw, most_probable
from vos_lightning.inference.tracking.memory_bank import Ids
from vos_lightning.inference.tracking.propagator import Propagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.models.chroma_views import ChromaViews
from vos_lightning.models.colour_mix import ColourMix
from vos_lightning.models.reconstruction import downsample


class ReconstructionPropagator(Propagator):
    """Reads probabilities out of those of earlier frames; its state is (K + 1, h, w), background first.

    Args:
        encoder: Φ_q, Lab frames (1, 3, H, W) -> features (1, D, H / stride, W / stride), with attributes `stride` and,
            where features have length 1, `normalize`.
        reference_encoder: Φ_r, encodes the frames that enter the memory; None where it is Φ_q, whose features are then
            used twice.
        settings: how masks are read out.
        temperature: divides the similarities.
        precision: of the similarities.
    """

    def __init__(
        self,
        encoder: nn.Module,
        reference_encoder: nn.Module | None = None,
        settings: TrackingSettings | None = None,
        temperature: float = 0.05,
        precision: torch.dtype = torch.float32,
    ) -> None:
        settings = settings or TrackingSettings()
        stride = cast("int", encoder.stride)
        super().__init__(settings, temperature, stride, multiple=stride)
        self._precision = precision
        self.encoder = _compared(encoder, settings)
        self.reference_encoder = None if reference_encoder is None else _compared(reference_encoder, settings)

    def _encode(self, lab: Tensor) -> Tensor:
        features: Tensor = self.encoder(lab).to(self._precision)
        return features

    def _nothing(self, query: Tensor) -> Tensor:
        return query.new_zeros(1, *query.shape[-2:], dtype=torch.float32)

    def _predict(self, query: Tensor) -> Tensor:
        """Each group is voted on by the frames that know of it, and takes its share of what came before it.

        An earlier frame holds a latecomer as background, and would outvote the few frames since.
        """
        groups = self.objects.groups()
        if len(groups) == 1:
            return self._read(query, *groups[0])
        probs = query.new_zeros(1 + len(self.objects), *query.shape[-2:], dtype=torch.float32)
        for number, (given, members) in enumerate(groups):
            share = self._read(query, given, members)
            rows = [k + 1 for k in members]
            if number == 0:
                probs[[0, *rows]] = share / share.sum(0, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
            else:
                probs *= (1 - share[1:].sum(0, keepdim=True)).clamp(min=0)
                probs[rows] = share[1:]
        return probs

    def _select(self, stored: Tensor, members: list[int]) -> tuple[Tensor, Tensor]:
        some = len(members) < len(self.objects)
        values = stored[:, :, [0, *(k + 1 for k in members)]] if some else stored
        return values, values[:, :, 1:]

    def _put(self, state: Tensor, shares: Tensor, is_given: Tensor, new: int) -> Tensor:
        shares, given = downsample(shares, self._stride), is_given[:, None, None]
        others = F.pad(state[1:], (0, 0, 0, 0, 0, new)) * (1 - (shares * given).sum(0))
        masks = torch.where(given, shares, others)
        return torch.cat([1 - masks.sum(0, keepdim=True), masks])

    def _remember(self, lab: Tensor, query: Tensor, state: Tensor, given: Ids) -> Tensor:
        key = query if self.reference_encoder is None else self.reference_encoder(lab).to(self._precision)
        self._memory.write(self._t, key[0], state, given)
        return state[1:]

    def _to_ids(self, state: Tensor, lab: Tensor, size: tuple[int, int]) -> Tensor:
        """The most probable object, see `most_probable`."""
        ids = torch.tensor(self.objects.ids, dtype=torch.uint8, device=state.device)
        return most_probable(self._drawn(state[1:], lab), ids, self._frames, size, self.settings.threshold)

    def _drawn(self, probs: Tensor, lab: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Probabilities (K, h, w) at the size of the network's frame (1, 3, H', W'), few objects at a time."""
        return draw(probs, lab, self.settings.edges)


def _compared(encoder: nn.Module, settings: TrackingSettings) -> nn.Module:
    """The encoder of what is compared, by the settings.

    Raw dot products have no scale that colours could share; these have a stride of their own.
    """
    if settings.chroma_views and getattr(encoder, "behind_bottleneck", False):
        encoder = ChromaViews(encoder)
    fits = getattr(encoder, "normalize", False) and encoder.stride == ColourMix.stride
    return ColourMix(encoder, settings.colour_weight) if settings.colour_weight and fits else encoder
