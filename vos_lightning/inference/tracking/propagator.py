"""Carry masks through a video, one frame at a time: what both papers' trackers share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from vos_lightning.functional.attention import local_attention
from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.inference.tracking.drawing import draw, most_probable, resized
from vos_lightning.inference.tracking.memory_bank import Ids, MemoryBank
from vos_lightning.inference.tracking.motion import STAY, move_references, places, reference_shifts
from vos_lightning.inference.tracking.network_frames import NetworkFrames
from vos_lightning.inference.tracking.objects import Frames, Objects
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.uncertainty import expected_region_similarity


class Propagator(ABC):
    """Follows the objects of one video; a fresh one for each video.

    A frame is encoded, its masks are predicted from the memory, given masks are put over them, and the frame joins the
    memory. Subclasses say how, in terms of a state: what is known of the objects in a frame, (K + const, …).

    Args:
        settings: how masks are read out.
        temperature: divides the similarities.
        stride: pixels of the network's frames per feature position.
        multiple: the network's frames are padded to multiples of it, in pixels.

    Attributes:
        objects: that are followed.
        probabilities: of the objects in the last frame, (K, h, w) in [0, 1] at feature positions.
        uncertainty: by id, for the last frame, in [0, 1]: how much of the object's mask its probabilities doubt.
    """

    def __init__(self, settings: TrackingSettings, temperature: float, stride: int, multiple: int) -> None:
        self.settings = settings
        self._stride = stride
        self.temperature = temperature
        self.objects = Objects(settings.max_given)
        self.probabilities = torch.zeros(0, 1, 1)
        self.uncertainty: dict[int, float] = {}
        self._frames = NetworkFrames(multiple, settings.max_size)
        self._memory = MemoryBank(settings)
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
        size = (frame.shape[-2], frame.shape[-1])
        if not self.objects.ids and not given:
            return torch.zeros(size, dtype=torch.uint8, device=frame.device)
        lab = rgb_to_lab(self._frames.fit(frame[None] / 255))
        query = self._encode(lab)
        state = self._predict(query) if self.objects.ids else self._nothing(query)
        ids = self._to_ids(state, lab, size)
        if mask is not None and given:
            state = self._insert(state, mask, given)
            ids = override(ids, mask, given)
        probs = self.probabilities = self._remember(lab, query, state, given)
        self.objects.see(probs, self._t)
        scores = expected_region_similarity(probs).tolist()
        self.uncertainty = {i: 0.0 if i in given else 1 - s for i, s in zip(self.objects.ids, scores, strict=True)}
        return ids

    def remember(self, frame: Tensor, mask: Tensor) -> None:
        """Store a given frame of another time, before the first step; it is never one of the recent frames.

        Args:
            frame: RGB, (3, H, W) uint8, on the network's device.
            mask: what is given for it, (H, W) ids.
        """
        self.step(frame, mask)
        self._t += self.settings.horizon

    @torch.no_grad()
    def draw(self, frame: Tensor, probabilities: Mapping[int, Tensor]) -> Tensor:
        """The mask of a frame by probabilities, which may be of another propagator with the same settings.

        Args:
            frame: RGB, (3, H, W) uint8.
            probabilities: by id, at feature positions, (h, w) in [0, 1], at least one; others' are interpolated.

        Returns:
            (H, W) uint8 ids.
        """
        ids = torch.tensor(list(probabilities), dtype=torch.uint8, device=frame.device)
        lab = rgb_to_lab(self._frames.fit(frame[None] / 255))
        grid = torch.Size(length // self._stride for length in lab.shape[-2:])
        probs = torch.stack([resized(one.to(frame.device), grid) for one in probabilities.values()])
        drawn = draw(probs, lab, self.settings.edges)
        return most_probable(drawn, ids, self._frames, (frame.shape[-2], frame.shape[-1]), self.settings.threshold)

    @abstractmethod
    def _encode(self, lab: Tensor) -> Tensor:
        """Lab frame (1, 3, H', W') -> features of a query, (1, D, h, w)."""

    @abstractmethod
    def _nothing(self, query: Tensor) -> Tensor:
        """The state of a frame without objects."""

    @abstractmethod
    def _predict(self, query: Tensor) -> Tensor:
        """The state of a frame, from the memory."""

    @abstractmethod
    def _put(self, state: Tensor, shares: Tensor, is_given: Tensor, new: int) -> Tensor:
        """The state with given objects in it.

        Args:
            state: as predicted, without the new objects.
            shares: of each pixel that is each object's in the given mask, (K, H', W').
            is_given: which objects were given, (K,) bool.
            new: how many are new, the last ones.
        """

    @abstractmethod
    def _remember(self, lab: Tensor, query: Tensor, state: Tensor, given: Ids) -> Tensor:
        """Store the frame; returns the objects' probabilities, (K, h, w)."""

    @abstractmethod
    def _to_ids(self, state: Tensor, lab: Tensor, size: tuple[int, int]) -> Tensor:
        """The state of a frame, and the frame -> (H, W) uint8 ids of the video's size."""

    @abstractmethod
    def _select(self, stored: Tensor, members: list[int]) -> tuple[Tensor, Tensor]:
        """Stored values (1, R, …) -> those of some objects (1, R, C, h, w), and their masks (1, R, K', h, w)."""

    def _insert(self, state: Tensor, mask: Tensor, given: Ids) -> Tensor:
        """Put given objects over predicted ones; the others stay where these aren't."""
        new = self.objects.give(given, self._t)
        self._memory.add_channels(new)
        ids = torch.tensor(self.objects.ids, device=mask.device)
        shares = self._frames.fit((mask == ids[:, None, None]).float()[None])[0]
        is_given = torch.tensor([i in given for i in self.objects.ids], device=mask.device)
        return self._put(state, shares, is_given, new)

    def _read(self, query: Tensor, given: Frames, members: list[int]) -> Tensor:
        """Read out what the memory holds of objects that were given for some frames: (C, h, w)."""
        settings = self.settings
        indices = self._references(given, members)
        keys, stored = self._memory.read(indices)
        values, masks = self._select(stored, members)
        bias = None
        if settings.follow and settings.radius is not None:
            ages, recent = zip(*((self._t - i, settings.is_recent(i, self._t)) for i in indices), strict=True)
            last = [self.objects.seen_at[k] for k in members]
            rows, shifts = reference_shifts(ages, recent, places(masks[0]), last, settings.radius // 2)
            if any(shift != STAY for shift in shifts):
                keys, values, bias = move_references(keys, values, rows, shifts)
                indices = [indices[row] for row in rows]
        radii = settings.radii(self._t, indices)
        weight, topk, temperature = settings.mutual_weight, settings.topk, self.temperature
        return local_attention(
            query, keys, values, radii, bias=bias, mutual=weight, topk=topk, temperature=temperature
        )[0]

    def _references(self, given: Frames, members: list[int]) -> list[int]:
        """Frames that know where objects are whose masks were given for some frames.

        Those do (but see `size_ratio`), and those since the last of them while they are recent: what was predicted
        before a correction is what was corrected. A frame that stays because masks of other objects were given holds
        predictions of these.
        """
        indices = self.settings.reference_indices(self._t, self._memory.given)
        recent = [i for i in indices if i > given[-1] and self.settings.is_recent(i, self._t) and i in self._memory]
        if self.settings.size_ratio is not None:
            given = self.objects.like_the_latest(given, members, self.settings.size_ratio)
        return [*given, *recent]


def override(ids: Tensor, mask: Tensor, given: Ids) -> Tensor:
    """Put a given mask over predicted ids (H, W), whose own idea of the given objects goes."""
    kept = torch.where(torch.isin(ids, torch.tensor(sorted(given), device=ids.device)), 0, ids)
    return torch.where(mask != 0, mask, kept).to(torch.uint8)
