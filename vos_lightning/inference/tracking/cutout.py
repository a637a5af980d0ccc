"""Carry masks through a video as CT-VOS does (§3.1 and Fig. 3): values are masks, the decoder paints the next one."""

import torch
from torch import Tensor

from vos_lightning.inference.tracking.memory_bank import Ids
from vos_lightning.inference.tracking.propagator import Propagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.models.cutout_tagging import INPUT_MULTIPLE, CutoutTagging
from vos_lightning.models.reconstruction import downsample


class CutoutPropagator(Propagator):
    """Paints masks out of a space-time memory; its state is a score per object and pixel, (K, H', W'), above 0 inside.

    Each object has values of its own, made of its mask in {-1, 1}; queries and keys are shared. The object of the
    highest score wins where any is above 0. In the memory the object's mask lies beside its values.

    Args:
        network: in evaluation mode.
        settings: how values are read out; colours take no part.
    """

    def __init__(self, network: CutoutTagging, settings: TrackingSettings | None = None) -> None:
        super().__init__(settings or TrackingSettings(), network.temperature, INPUT_MULTIPLE)
        self.network = network

    def _encode(self, lab: Tensor) -> Tensor:
        query: Tensor = self.network.query_encoder(lab)
        return query

    def _nothing(self, query: Tensor) -> Tensor:
        height, width = query.shape[-2:]
        size = height * self.network.stride, width * self.network.stride
        return query.new_zeros(0, *size, dtype=torch.float32)

    def _predict(self, query: Tensor) -> Tensor:
        scores = [query] * len(self.objects)
        for given, members in self.objects.groups():
            read = self._read(query, given, members).unflatten(0, (len(members), -1))
            for k, score in zip(members, self.network.decoder(read)[0].mean(1), strict=True):
                scores[k] = score
        return torch.stack(scores)

    def _select(self, stored: Tensor, members: list[int]) -> tuple[Tensor, Tensor]:
        of_members = stored[:, :, members]
        return of_members[:, :, :, :-1].flatten(2, 3), of_members[:, :, :, -1]

    def _put(self, state: Tensor, shares: Tensor, is_given: Tensor, new: int) -> Tensor:
        covered = shares[is_given].sum(0) > 0.5
        others = torch.cat([state, state.new_zeros(new, *state.shape[-2:])]).masked_fill(covered, -1)
        return torch.where(is_given[:, None, None], 2 * shares - 1, others)

    def _remember(self, lab: Tensor, query: Tensor, state: Tensor, given: Ids) -> Tensor:
        best, winner = state.max(0)
        numbers = torch.arange(len(state), device=state.device)[:, None, None]
        masks = torch.where((winner == numbers) & (best > 0), 1.0, -1.0)
        values = self.network.value_encoder(masks[:, None].expand(-1, 3, -1, -1))
        shares = downsample((masks[:, None] + 1) / 2, self.network.stride)
        stored = torch.cat([values, shares.to(values.dtype)], dim=1)
        self._memory.write(self._t, self.network.key_encoder(lab)[0], stored, given)
        return shares[:, 0]

    def _to_ids(self, state: Tensor, lab: Tensor, size: tuple[int, int]) -> Tensor:
        """The highest score where it is above 0 (CT-VOS Fig. 3), background elsewhere."""
        if not len(state):
            return torch.zeros(size, dtype=torch.uint8, device=state.device)
        best, winner = self._frames.restore(state[:, None], size)[:, 0].max(0)
        ids = torch.tensor(self.objects.ids, dtype=torch.uint8, device=state.device)
        return torch.where(best > 0, ids[winner], 0).to(torch.uint8)
