"""Carry masks through a video as CT-VOS does (§3.1 and Fig. 3): values are masks, the decoder paints the next one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vos_lightning.functional.attention import local_attention
from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.inference.memory_bank import Ids, MemoryBank, ReferencePolicy
from vos_lightning.inference.motion import Centre, centres, move_references, reference_shifts, seen_last
from vos_lightning.inference.network_frames import NetworkFrames
from vos_lightning.models.cutout_tagging import CutoutTagging
from vos_lightning.models.reconstruction import downsample

# of the network's input: the ResNet strides four times whatever its output's stride
_INPUT_MULTIPLE = 16


@dataclass(frozen=True)
class CutoutSettings:
    """How masks are read out of the memory.

    Args:
        policy: which frames are looked back at. The paper takes 10 at a time as in training, one of them the current
            frame and two zoomed views; the default is the first frame and the last six.
        radius: of the window, in feature positions; None sees the whole frame, as in the paper.
        topk: similar positions that take part, None for all as in the paper.
        follow: older references are moved as far as their objects have moved since, see `motion`; without effect where
            the whole frame is seen.
    """

    policy: ReferencePolicy = field(default_factory=lambda: ReferencePolicy((1, 2, 3, 4, 5, 6)))
    radius: int | None = None
    topk: int | None = None
    follow: bool = False

    @classmethod
    def of(cls, hparams: Mapping[str, Any]) -> "CutoutSettings":
        """Those in the hyper-parameters of the task."""
        policy = ReferencePolicy(tuple(hparams["reference_offsets"]))
        return cls(policy, *(hparams[name] for name in ("test_radius", "topk", "follow")))


class CutoutPropagator:
    """Follows the objects of one video; a fresh one for each video.

    Each object has values of its own, made of its mask in {-1, 1}; queries and keys are shared. The object of the
    highest output wins where any is above 0.

    Args:
        network: in evaluation mode.
        settings: how masks are read out.
        max_size: frames with a longer side are scaled down to it for the network, in pixels; masks keep the full size.
    """

    def __init__(
        self, network: CutoutTagging, settings: CutoutSettings | None = None, max_size: int | None = None
    ) -> None:
        self.network = network
        self.settings = settings or CutoutSettings()
        self.object_ids: list[int] = []
        self._since: list[int] = []  # the latest frame in which each object was given
        self._seen_at: list[Centre | None] = []  # where each object was seen last
        self._frames = NetworkFrames(_INPUT_MULTIPLE, max_size)
        self._memory = MemoryBank(self.settings.policy)
        self._t = -1

    @torch.no_grad()
    def step(self, frame: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mask of the next frame.

        Args:
            frame: RGB, (3, H, W) uint8, on the network's device.
            mask: what is given for this frame, (H, W) ids; 0 where nothing is given. Its objects are followed from here
                on: new ones join, known ones are corrected; it overrides the prediction where it isn't 0.

        Returns:
            (H, W) uint8 ids; all 0 as long as no mask was given.

        Raises:
            MaskError: mask and frame differ in size.
            VOSError: the frame's size is not that of the frames before.
        """
        self._t += 1
        self._frames.check(self._t, frame, mask)
        given = Ids() if mask is None else Ids(mask.unique().tolist()) - {0}
        if not self.object_ids and not given:
            return torch.zeros(frame.shape[-2:], dtype=torch.uint8, device=frame.device)
        lab = rgb_to_lab(self._frames.fit(frame[None].float() / 255))
        scores = self._predict(lab) if self.object_ids else lab.new_zeros(0, *lab.shape[-2:])
        if mask is not None and given:
            scores = self._insert(scores, mask, given)
        self._remember(lab, scores, given)
        height, width = frame.shape[-2:]
        ids = self._to_ids(self._frames.restore(scores[:, None], (height, width))[:, 0])
        return ids if mask is None else torch.where(mask != 0, mask, ids).to(torch.uint8)

    def _predict(self, lab: Tensor) -> Tensor:
        """Scores of the objects, (K, H', W'): above 0 inside."""
        query = self.network.query_encoder(lab)
        scores: list[Tensor] = [query.new_empty(0)] * len(self.object_ids)
        for start in sorted(set(self._since)):
            members = [k for k, since in enumerate(self._since) if since == start]
            read = self._read(query, start, members)
            for k, score in zip(members, self.network.decoder(read)[0].mean(1), strict=True):
                scores[k] = score
        return torch.stack(scores)

    def _read(self, query: Tensor, start: int, members: list[int]) -> Tensor:
        """Values of objects, (K', C, h, w), read from the frames that know where they are.

        Those from `start` on do, when the objects were given last, while they are recent. A frame that stays because
        masks of other objects were given holds predictions of these, no more to rely on than any others so old.
        """
        policy = self.settings.policy
        indices = [
            index
            for index in policy.reference_indices(self._t, self._memory.anchors)
            if index == start or (index > start and policy.is_recent(index, self._t))
        ]
        keys, stored = self._memory.read(indices)
        of_objects = stored.unflatten(2, (len(self.object_ids), -1))[:, :, members]
        values, masks = of_objects[:, :, :, :-1].flatten(2, 3), of_objects[:, :, :, -1]
        radius, topk = self.settings.radius, self.settings.topk
        if self.settings.follow and radius is not None:
            ages, recent = zip(*((self._t - i, policy.is_recent(i, self._t)) for i in indices), strict=True)
            now = [self._seen_at[k] for k in members]
            rows, shifts = reference_shifts(ages, recent, centres(masks[0]), now, radius // 2)
            indices = [indices[row] for row in rows]
            query, keys, values = move_references(query, keys[:, rows], values[:, rows], shifts)
        radii = None if radius is None else policy.radii(self._t, indices, radius)
        read = local_attention(query, keys, values.float(), radii, topk=topk, temperature=self.network.temperature)
        painted: Tensor = read[0].unflatten(0, (len(members), -1))
        return painted

    def _insert(self, scores: Tensor, mask: Tensor, given: Ids) -> Tensor:
        """Put given objects over predicted ones, which go where these are: (K, H', W') -> as many as there are now."""
        new = sorted(given - {*self.object_ids})
        channels = self.network.value_encoder.head.out_channels + 1  # and the mask
        self._memory.add_channels(len(new) * channels)
        self.object_ids = [*self.object_ids, *new]
        since = dict(zip(self.object_ids, self._since, strict=False)) | dict.fromkeys(given, self._t)
        self._since = [since[object_id] for object_id in self.object_ids]
        ids = torch.tensor(self.object_ids, device=mask.device)[:, None, None]
        shares = self._frames.fit((mask == ids).float()[:, None])[:, 0]
        is_given = torch.tensor([object_id in given for object_id in self.object_ids], device=mask.device)
        covered = shares[is_given].sum(0) > 0.5
        others = torch.cat([scores, scores.new_zeros(len(new), *scores.shape[-2:])]).masked_fill(covered, -1)
        return torch.where(is_given[:, None, None], 2 * shares - 1, others)

    def _remember(self, lab: Tensor, scores: Tensor, given: Ids) -> None:
        """Store the frame's key, and each object's value and mask."""
        best, winner = scores.max(0)
        numbers = torch.arange(len(scores), device=scores.device)[:, None, None]
        masks = torch.where((winner == numbers) & (best > 0), 1.0, -1.0)
        values = self.network.value_encoder(masks[:, None].expand(-1, 3, -1, -1))
        shares = downsample((masks[:, None] + 1) / 2, self.network.stride)
        self._seen_at = seen_last(shares[:, 0], self._seen_at)
        stored = torch.cat([values, shares.to(values.dtype)], dim=1).flatten(0, 1)
        self._memory.write(self._t, self.network.key_encoder(lab)[0], stored, given)

    def _to_ids(self, scores: Tensor) -> Tensor:
        """(K, H, W) -> (H, W) ids: the highest where it is above 0 (CT-VOS Fig. 3), background elsewhere."""
        best, winner = scores.max(0)
        ids = torch.tensor(self.object_ids, dtype=torch.uint8, device=scores.device)
        return torch.where(best > 0, ids[winner], 0).to(torch.uint8)
