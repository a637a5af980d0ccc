"""Carry masks through a video, one frame at a time (SSVOS eq. 4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.functional.attention import local_attention
from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.inference.memory_bank import Ids, MemoryBank, ReferencePolicy
from vos_lightning.inference.motion import Centre, centres, move_references, reference_shifts, seen_last
from vos_lightning.inference.mutual import prefer_mutual
from vos_lightning.inference.network_frames import NetworkFrames
from vos_lightning.models.colour_mix import ColourMix
from vos_lightning.models.reconstruction import downsample


@dataclass(frozen=True)
class PropagationSettings:
    """How masks are read out of the memory.

    Args:
        radius: of the window, in feature positions (1/4 of the pixels); the policy may have another for some frames.
        topk: similar positions that take part, None for all.
        temperature: of the softmax over similarities.
        policy: which frames are references.
        colour_weight: share of Lab patches in the similarities of normalised features, see `ColourMix`.
        follow: older references are moved as far as their objects have moved since, see `motion`.
        mutual_weight: how much less a match counts that is not the best one seen from the reference, see `mutual`.
    """

    radius: int = 12
    topk: int | None = 10
    temperature: float = 0.05
    policy: ReferencePolicy = field(default_factory=ReferencePolicy)
    colour_weight: float = 0.0
    follow: bool = True
    mutual_weight: float = 0.0


def settings_of(hparams: Mapping[str, Any]) -> PropagationSettings:
    """Those that hyper-parameters of `MAST` say; raw dot products have no scale that colours could share."""
    return PropagationSettings(
        radius=hparams["test_radius"],
        topk=hparams["topk"],
        temperature=hparams["temperature"],
        policy=ReferencePolicy(tuple(hparams["reference_offsets"]), hparams["given_radius"]),
        colour_weight=hparams["colour_weight"] if hparams["normalize"] else 0.0,
        follow=hparams["follow"],
        mutual_weight=hparams["mutual_weight"],
    )


class Propagator:
    """Follows the objects of one video; a fresh one for each video.

    Args:
        encoder: Φ_q, Lab frames (1, 3, H, W) -> features (1, D, H / stride, W / stride), with an attribute `stride`.
        reference_encoder: Φ_r, encodes the frames that enter the memory; None where it is Φ_q, whose features are then
            used twice.
        settings: how masks are read out.
        max_size: frames with a longer side are scaled down to it for the network, in pixels; masks keep the full size.
    """

    def __init__(
        self,
        encoder: nn.Module,
        reference_encoder: nn.Module | None = None,
        settings: PropagationSettings | None = None,
        max_size: int | None = None,
    ) -> None:
        self.settings = settings or PropagationSettings()
        self.encoder = _with_colours(encoder, self.settings)
        self.reference_encoder = None if reference_encoder is None else _with_colours(reference_encoder, self.settings)
        self.object_ids: list[int] = []
        self._since: list[int] = []  # the latest frame in which each object was given
        self._seen_at: list[Centre | None] = []  # where each object was seen last
        self._stride = cast("int", encoder.stride)
        self._frames = NetworkFrames(self._stride, max_size)
        self._memory = MemoryBank(self.settings.policy)
        self._t = -1

    @torch.no_grad()
    def step(self, frame: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mask of the next frame.

        Args:
            frame: RGB, (3, H, W) uint8, on the encoder's device.
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
        query = self.encoder(lab)
        probs = self._readout(query) if self.object_ids else query.new_zeros(1, *query.shape[-2:])
        ids = self._to_ids(probs, (frame.shape[-2], frame.shape[-1]))
        if mask is not None and given:
            self._introduce(given)
            ids = _override(ids, mask, given)
            probs = self._insert(probs, mask, given)
        if self.settings.follow:
            self._seen_at = seen_last(probs[1:], self._seen_at)
        key = query if self.reference_encoder is None else self.reference_encoder(lab)
        self._memory.write(self._t, key[0], probs, given)
        return ids

    def _readout(self, query: Tensor) -> Tensor:
        """Probabilities (K + 1, h, w), background first, from the memory."""
        settings, policy = self.settings, self.settings.policy
        indices = policy.reference_indices(self._t, self._memory.anchors)
        keys, values = self._memory.read(indices)
        if settings.follow:
            then = [
                self._known_centres(*reference) for reference in zip(indices, centres(values[0, :, 1:]), strict=True)
            ]
            ages, recent = zip(*((self._t - i, policy.is_recent(i, self._t)) for i in indices), strict=True)
            rows, shifts = reference_shifts(ages, recent, then, self._seen_at, settings.radius // 2)
            indices = [indices[row] for row in rows]
            query, keys, values = move_references(query, keys[:, rows], values[:, rows], shifts)
        radii = policy.radii(self._t, indices, settings.radius)
        if settings.mutual_weight:
            query, keys = prefer_mutual(query, keys, radii, settings.mutual_weight)
        since = sorted(set(self._since))
        known = [[self._knows(index, start) for start in since] for index in indices]
        partial = not all(map(all, known))
        if partial:
            values = self._knowledge_only(values, values.new_tensor(known))
        readout = local_attention(query, keys, values, radii, topk=settings.topk, temperature=settings.temperature)[0]
        return self._divide(readout) if partial else readout

    def _known_centres(self, index: int, seen: list[Centre | None]) -> list[Centre | None]:
        """Where frame `index` knows objects, of where they are seen in it."""
        return [c if self._knows(index, s) else None for c, s in zip(seen, self._since, strict=True)]

    def _knows(self, index: int, start: int) -> bool:
        """Does frame `index` tell where the objects are whose masks were given for frame `start` last?

        It does from that frame on, while it is recent. A frame that stays because masks of other objects were given
        holds predictions of these, no more to rely on than any others so old.
        """
        return index >= start and (index == start or self.settings.policy.is_recent(index, self._t))

    def _knowledge_only(self, values: Tensor, known: Tensor) -> Tensor:
        """Values (1, R, K + 1 + G, h, w) in the order that `admit_latecomers` takes.

        Args:
            values: of the references, (1, R, K + 1, h, w).
            known: 1 where a reference knows a group of objects, (R, G + 1).
        """
        since = sorted(set(self._since))
        group = [0, *(since.index(self._since[k]) for k in self._by_age())]
        weights = known[None, :, 1:, None, None].expand(-1, -1, -1, *values.shape[-2:])
        ordered = values[:, :, [0, *(k + 1 for k in self._by_age())]]
        return torch.cat([ordered * known[None, :, group, None, None], weights], dim=2)

    def _divide(self, readout: Tensor) -> Tensor:
        """What was read of `_knowledge_only` values -> probabilities (K + 1, h, w)."""
        probs = admit_latecomers(readout, sorted(self._since))
        return torch.cat([probs[:1], probs[1:][torch.tensor(self._by_age(), device=probs.device).argsort()]])

    def _by_age(self) -> list[int]:
        """Objects by the frame in which they were given last."""
        return sorted(range(len(self._since)), key=lambda k: self._since[k])

    def _to_ids(self, probs: Tensor, size: tuple[int, int]) -> Tensor:
        """(K + 1, h, w) -> (H, W) ids: upsampled to the frame's size, argmax."""
        full = F.interpolate(probs[None], scale_factor=self._stride, mode="bilinear", align_corners=False)
        ids = torch.tensor([0, *self.object_ids], dtype=torch.uint8, device=probs.device)
        return ids[self._frames.restore(full, size)[0].argmax(0)]

    def _introduce(self, given: Ids) -> None:
        """Make room for the objects that are new; what was seen of the others before doesn't count any more."""
        new = sorted(given - {*self.object_ids})
        self._memory.add_channels(len(new))
        self.object_ids = [*self.object_ids, *new]
        since = dict(zip(self.object_ids, self._since, strict=False)) | dict.fromkeys(given, self._t)
        self._since = [since[object_id] for object_id in self.object_ids]

    def _insert(self, probs: Tensor, mask: Tensor, given: Ids) -> Tensor:
        """Put given objects over predicted probabilities (K + 1, h, w); the others stay where these aren't."""
        channels = [0, *self.object_ids]
        one_hot = (mask[None] == torch.tensor(channels, device=mask.device)[:, None, None]).float()
        shares = downsample(self._frames.fit(one_hot[None])[0], self._stride)
        is_given = torch.tensor([i in given for i in channels], device=mask.device)[:, None, None]
        covered = (shares * is_given).sum(0)
        others = F.pad(probs, (0, 0, 0, 0, 0, len(channels) - len(probs))) * (1 - covered)
        inserted = torch.where(is_given, shares, others)
        return torch.cat([1 - inserted[1:].sum(0, keepdim=True), inserted[1:]])


def _override(ids: Tensor, mask: Tensor, given: Ids) -> Tensor:
    """Put a given mask over predicted ids (H, W), whose own idea of the given objects goes."""
    kept = torch.where(torch.isin(ids, torch.tensor(sorted(given), device=ids.device)), 0, ids)
    return torch.where(mask != 0, mask, kept).to(torch.uint8)


def _with_colours(encoder: nn.Module, settings: PropagationSettings) -> nn.Module:
    return ColourMix(encoder, settings.colour_weight) if settings.colour_weight else encoder


def admit_latecomers(readout: Tensor, arrivals: list[int]) -> Tensor:
    """Let objects that came later be voted on only by the frames that knew of them.

    An earlier frame holds such an object as background, and would outvote the few frames since. So each group of
    latecomers gets its share among the frames since it came, and the groups before it divide what remains as before.

    Args:
        readout: (K + 1 + G, h, w): background, K objects in order of arrival, and for each of G later arrivals the
            weight of the frames since.
        arrivals: the frame that introduced each object, ascending, of G + 1 different values.

    Returns:
        Probabilities, (K + 1, h, w).
    """
    tiny = torch.finfo(readout.dtype).tiny
    first, *later = sorted(set(arrivals))
    channels = readout.split([1 + arrivals.count(first), *(arrivals.count(t) for t in later), len(later)])
    probs: Tensor = channels[0] / channels[0].sum(0, keepdim=True).clamp(min=tiny)
    for group, weight in zip(channels[1:-1], channels[-1], strict=True):
        share = group / weight.clamp(min=tiny)
        probs = torch.cat([probs * (1 - share.sum(0, keepdim=True)).clamp(min=0), share])
    return probs
