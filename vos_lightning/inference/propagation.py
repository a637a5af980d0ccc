"""Carry masks through a video, one frame at a time (SSVOS eq. 4)."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.errors import MaskError
from vos_lightning.functional.attention import local_attention
from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.inference.memory_bank import MemoryBank, ReferencePolicy
from vos_lightning.models.reconstruction import downsample


@dataclass(frozen=True)
class PropagationSettings:
    """How masks are read out of the memory.

    Args:
        radius: of the window, in feature positions (1/4 of the pixels).
        topk: similar positions that take part, None for all.
        temperature: of the softmax over similarities.
        policy: which frames are references.
    """

    radius: int = 12
    topk: int | None = 10
    temperature: float = 0.05
    policy: ReferencePolicy = field(default_factory=ReferencePolicy)


class Propagator:
    """Follows the objects of one video; a fresh one for each video.

    Args:
        encoder: Φ_q, Lab frames (1, 3, H, W) -> features (1, D, H / stride, W / stride), with an attribute `stride`.
        reference_encoder: Φ_r, encodes the frames that enter the memory; None where it is Φ_q, whose features are then used twice.
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
        self.encoder = encoder
        self.reference_encoder = reference_encoder
        self.settings = settings or PropagationSettings()
        self.max_size = max_size
        self.object_ids: list[int] = []
        self._arrivals: list[int] = []  # the frame that introduced each object
        self._memory = MemoryBank(self.settings.policy.horizon)
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
        """
        self._t += 1
        if mask is not None and mask.shape != frame.shape[-2:]:
            sizes = f"{mask.shape[1]}×{mask.shape[0]}, the frame {frame.shape[2]}×{frame.shape[1]}"
            raise MaskError(f"the mask of frame {self._t} is {sizes}; give a mask of the frame's size")
        if not self.object_ids and (mask is None or not mask.any()):
            return torch.zeros(frame.shape[-2:], dtype=torch.uint8, device=frame.device)
        lab = self._prepare(frame)
        query = self.encoder(lab)[0]
        if self.object_ids:
            probs = self._readout(query)
            ids = self._to_ids(probs, frame.shape[-2:])
        given = mask is not None and bool(mask.any())
        if mask is not None and given:
            ids = self._join(mask, ids if self.object_ids else torch.zeros_like(mask))
            probs = self._to_probs(ids)
        key = query if self.reference_encoder is None else self.reference_encoder(lab)[0]
        self._memory.write(self._t, key, probs, permanent=given)
        return ids

    def _prepare(self, frame: Tensor) -> Tensor:
        """(3, H, W) uint8 -> Lab (1, 3, H', W'), scaled down to the limit and padded to multiples of the stride."""
        image = self._fit(frame[None].float() / 255)
        return rgb_to_lab(_pad(image, self.encoder.stride))

    def _network_size(self, size: tuple[int, ...]) -> tuple[int, int]:
        """(H, W) of a frame as the network sees it, before padding."""
        height, width = size
        shrink = 1.0 if self.max_size is None else min(1.0, self.max_size / max(height, width))
        return max(1, round(height * shrink)), max(1, round(width * shrink))

    def _fit(self, images: Tensor) -> Tensor:
        """Scale (1, C, H, W) down to `max_size`, with antialiasing."""
        size = self._network_size(images.shape[-2:])
        if size == images.shape[-2:]:
            return images
        return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)

    def _readout(self, query: Tensor) -> Tensor:
        """Probabilities (K + 1, h, w), background first, from the memory."""
        settings = self.settings
        indices = settings.policy.reference_indices(self._t, self._memory.permanent)
        keys, values = self._memory.read(indices)
        arrivals = sorted(set(self._arrivals))[1:]
        values = torch.cat([values, *(_since(arrival, indices, values) for arrival in arrivals)], dim=2)
        readout = local_attention(
            query[None], keys, values, settings.radius, topk=settings.topk, temperature=settings.temperature
        )[0]
        return admit_latecomers(readout, self._arrivals) if arrivals else readout

    def _to_ids(self, probs: Tensor, size: tuple[int, ...]) -> Tensor:
        """(K + 1, h, w) -> (H, W) ids: up to the network's size, off with the padding, up to the frame's size, argmax."""
        height, width = self._network_size(size)
        stride = self.encoder.stride
        full = F.interpolate(probs[None], scale_factor=stride, mode="bilinear", align_corners=False)
        full = full[..., :height, :width]
        if (height, width) != size:
            full = F.interpolate(full, list(size), mode="bilinear", align_corners=False)
        ids = torch.tensor([0, *self.object_ids], dtype=torch.uint8, device=probs.device)
        return ids[full[0].argmax(0)]

    def _join(self, mask: Tensor, ids: Tensor) -> Tensor:
        """Put a given mask over the predicted one; learn of its new objects."""
        given = [i for i in mask.unique().tolist() if i != 0]
        new = [i for i in given if i not in self.object_ids]
        self._memory.add_channels(len(new))
        self.object_ids = [*self.object_ids, *new]
        self._arrivals = [*self._arrivals, *(self._t for _ in new)]
        kept = torch.where(torch.isin(ids, torch.tensor(given, device=ids.device)), 0, ids)
        return torch.where(mask != 0, mask, kept).to(torch.uint8)

    def _to_probs(self, ids: Tensor) -> Tensor:
        """(H, W) ids -> (K + 1, h, w): the share of each cell that each object covers."""
        channels = torch.tensor([0, *self.object_ids], device=ids.device)
        one_hot = (ids[None] == channels[:, None, None]).float()
        return downsample(_pad(self._fit(one_hot[None]), self.encoder.stride)[0], self.encoder.stride)


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
    probs = channels[0] / channels[0].sum(0, keepdim=True).clamp(min=tiny)
    for group, weight in zip(channels[1:-1], channels[-1], strict=True):
        share = group / weight.clamp(min=tiny)
        probs = torch.cat([probs * (1 - share.sum(0, keepdim=True)).clamp(min=0), share])
    return probs


def _since(arrival: int, indices: list[int], values: Tensor) -> Tensor:
    """A channel that is 1 in the references from frame `arrival` on: (1, R, 1, h, w)."""
    known = torch.tensor([float(index >= arrival) for index in indices], device=values.device)
    return known.view(1, -1, 1, 1, 1).expand(-1, -1, -1, *values.shape[-2:])


def _pad(images: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column of (1, C, H, W) up to multiples of the stride."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")
