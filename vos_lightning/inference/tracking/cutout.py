"""Carry masks through a video as CT-VOS does (§3.1 and Fig. 3): values are masks, the decoder paints the next one."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.inference.tracking.memory_bank import Ids
from vos_lightning.inference.tracking.objects import Frames
from vos_lightning.inference.tracking.propagator import Propagator
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
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
        super().__init__(settings or TrackingSettings(), network.temperature, network.stride, INPUT_MULTIPLE)
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


class MendingPropagator(ReconstructionPropagator):
    """Copies masks by the affinity, as SSVOS does, and lets the decoder of CT-VOS mend each object's.

    For networks that copy their values: masks are the copied part of their read-out. Each object has value features of
    its own, made of its mask in {-1, 1} at the network's size; they lie in the memory beside its probabilities. The
    decoder's image, averaged over its channels, is added where masks are drawn.

    Args:
        network: in evaluation mode, with `copy`.
        shared: queries and keys are encoded alike: once.
        settings: how masks are read out.
        precision: of the similarities.
    """

    def __init__(
        self,
        network: CutoutTagging,
        shared: bool = False,
        settings: TrackingSettings | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        key_encoder = None if shared else network.key_encoder
        super().__init__(network.query_encoder, key_encoder, settings, network.temperature, precision)
        self.network = network
        # of the objects in the frame at hand: as drawn at the network's size, and what was read of their features
        self._masks = torch.zeros(0)
        self._features: list[Tensor] = []

    def _nothing(self, query: Tensor) -> Tensor:
        height, width = (length * self._stride for length in query.shape[-2:])
        self._masks = query.new_zeros(0, height, width, dtype=torch.float32)
        return super()._nothing(query)

    def _predict(self, query: Tensor) -> Tensor:
        self._features = [query] * len(self.objects)
        return super()._predict(query)

    def _select(self, stored: Tensor, members: list[int]) -> tuple[Tensor, Tensor]:
        """Rows are background and objects; each holds a probability, then features."""
        rows = stored[:, :, [0, *(k + 1 for k in members)]]
        probs, features = rows[:, :, :, 0], rows[:, :, 1:, 1:]
        return torch.cat([probs, features.flatten(2, 3)], dim=2), probs[:, :, 1:]

    def _read(self, query: Tensor, given: Frames, members: list[int]) -> Tensor:
        read = super()._read(query, given, members)
        probs, features = read[: 1 + len(members)], read[1 + len(members) :]
        for k, feature in zip(members, features.unflatten(0, (len(members), -1)), strict=True):
            self._features[k] = feature
        return probs

    def _drawn(self, probs: Tensor, lab: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """What the base class draws, and what the decoder adds to it."""
        self._masks = probs.new_zeros(len(probs), *lab.shape[-2:])
        for some, drawn in super()._drawn(probs, lab):
            copied = 2 * probs[some, None].expand(-1, 3, -1, -1) - 1
            added, _ = self.network.decoder(torch.cat([torch.stack(self._features[some]), copied], dim=1))
            self._masks[some] = drawn + added.mean(1) / 2  # from {-1, 1} to {0, 1}
            yield some, self._masks[some]

    def _put(self, state: Tensor, shares: Tensor, is_given: Tensor, new: int) -> Tensor:
        others = F.pad(self._masks, (0, 0, 0, 0, 0, new)) * (1 - shares[is_given].sum(0))
        self._masks = torch.where(is_given[:, None, None], shares, others)
        return super()._put(state, shares, is_given, new)

    def _remember(self, lab: Tensor, query: Tensor, state: Tensor, given: Ids) -> Tensor:
        key = query if self.reference_encoder is None else self.reference_encoder(lab).to(self._precision)
        masks = torch.where(self._masks > 0.5, 1.0, -1.0)[:, None].expand(-1, 3, -1, -1)
        features = F.pad(self.network.value_encoder(masks).float(), (0, 0, 0, 0, 0, 0, 1, 0))
        self._memory.write(self._t, key[0], torch.cat([state[:, None], features], dim=1), given)
        return state[1:]
