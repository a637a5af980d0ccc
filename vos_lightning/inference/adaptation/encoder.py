"""An encoder that learns from one video's own masks what to tell apart in it.

Not the papers': their adapter is the U-Net of this package. An encoder that has learned from raw videos needs a few
steps only, and the masks are then propagated again with the features that it makes.
"""

import math
import zlib
from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.errors import VOSError
from vos_lightning.functional.colour import drop_chroma
from vos_lightning.functional.losses import label_loss
from vos_lightning.inference.adaptation.labelled_frames import UNKNOWN, LabelledFrame, LabelledFrames

WARM_UP = 5  # steps
JITTER = 4  # positions that a crop lies off its object's centre


@dataclass(frozen=True)
class EncoderSettings:
    """How an encoder is adapted to one video.

    Args:
        steps: of training, one pair of frames each.
        learning_rate: of Adam, the largest; it falls to 0 as a cosine.
        crop: side of the crops in feature positions; they lie around an object.
        queries: positions of each label that are asked in a step.
        enough: a position's share of attention on its own label, in (0, 1), that need not grow. Beyond it, features
            would be alike all over an object, and its contour uncertain.
        cap: of a position's loss, in nats: what can't be found counts no more than this.
        given_share: of the pairs, how many have a frame whose mask was given.
        reach: of the others, how many kept frames lie between the two at most.
        max_frames: number of frames kept for training; of longer videos an even share.
        seed: of the order and the crops, which depend on the name of the video as well.

    Raises:
        VOSError: names the option.
    """

    steps: int = 80
    learning_rate: float = 2e-4
    crop: int = 48
    queries: int = 1024
    enough: float = 0.8
    cap: float = 1.0
    given_share: float = 0.5
    reach: int = 20
    max_frames: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate the values."""
        for name in ("steps", "crop", "queries", "reach", "max_frames"):
            if getattr(self, name) < 1:
                raise VOSError(f"encoder adaptation: {name} is {getattr(self, name)}; expected 1 or more")
        for name in ("learning_rate", "cap"):
            if not getattr(self, name) > 0:
                raise VOSError(f"encoder adaptation: {name} is {getattr(self, name)}; expected a number above 0")
        if not 0 < self.enough < 1:
            raise VOSError(f"encoder adaptation: enough is {self.enough}; expected a share between 0 and 1")
        if not 0 <= self.given_share <= 1:
            raise VOSError(f"encoder adaptation: given_share is {self.given_share}; expected 0 to 1")


def adapt_encoder(
    encoder: nn.Module,
    frames: LabelledFrames,
    temperature: float,
    settings: EncoderSettings,
    sequence: str = "",
    device: str | torch.device = "cpu",
) -> nn.Module | None:
    """A copy of an encoder that has learned from the frames; None where they show no object.

    Can be called in inference mode; no global random state is read or changed.

    Args:
        encoder: Lab frames (B, 3, H, W) -> features (B, D, H / stride, W / stride). One with `behind_bottleneck` is
            trained without a or without b, as it was before.
        frames: to learn from.
        temperature: divides the similarities.
        settings: of the training.
        sequence: name of the video; part of the seed.
        device: where it learns.
    """
    if not any(_objects(frame.labels) for frame in frames):
        return None
    device = torch.device(device)
    # whatever the caller is in the middle of
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        learner = _copy(encoder).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        pairs = _Pairs(frames, settings, sequence)
        optimizer = torch.optim.Adam(learner.parameters(), lr=settings.learning_rate)
        for step in range(settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _share_of_rate(step, settings.steps)
            optimizer.zero_grad()
            _loss(learner, pairs, temperature, device).backward()
            optimizer.step()
    adapted: nn.Module = learner.requires_grad_(False)
    return adapted


def _copy(encoder: nn.Module) -> nn.Module:
    """In evaluation mode: one video is too little for statistics of batch norms."""
    copied = deepcopy(encoder).eval().requires_grad_(True)
    # parameters that were loaded in inference mode can't learn
    copied.load_state_dict({name: value.clone() for name, value in encoder.state_dict().items()}, assign=True)
    return copied.requires_grad_(True)


def _share_of_rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


class _Pairs:
    """Crops of two frames around an object, at random."""

    def __init__(self, frames: LabelledFrames, settings: EncoderSettings, sequence: str) -> None:
        self.settings = settings
        self._frames = frames
        self._given = [i for i, frame in enumerate(frames) if frame.given and _objects(frame.labels)]
        self._with_objects = [i for i, frame in enumerate(frames) if _objects(frame.labels)]
        self.generator = torch.Generator().manual_seed(zlib.crc32(f"{settings.seed} {sequence}".encode()))

    def draw(self) -> tuple[Tensor, list[Tensor]]:
        """Lab crops (2, 3, H, W) and their labels, (h, w) each."""
        first = self._one_of(self._with_objects)
        near = [i for i in self._with_objects if abs(i - first) <= self.settings.reach]
        take_given = torch.rand(1, generator=self.generator).item() < self.settings.given_share
        second = self._one_of(self._given if take_given and self._given else near)
        pair = [self._frames[first], self._frames[second]]
        shared = set(_objects(pair[0].labels)) & set(_objects(pair[1].labels))
        target = self._one_of(sorted(shared)) if shared else None
        crops = [self._crop(frame, target) for frame in pair]
        return torch.stack([lab for lab, _ in crops]), [labels for _, labels in crops]

    def _crop(self, frame: LabelledFrame, target: int | None) -> tuple[Tensor, Tensor]:
        labels, size = frame.labels, min(self.settings.crop, *frame.labels.shape)
        there = (labels == (_objects(labels)[0] if target is None else target)).nonzero().float()
        spread = (there.amax(0) - there.amin(0)).amax().item()
        centre = there.mean(0) if spread < size else there[self._below(len(there))]
        corner = []
        for middle, length in zip(centre.tolist(), labels.shape, strict=True):
            start = round(middle - size / 2) + self._below(2 * JITTER + 1) - JITTER
            corner.append(min(max(0, start), length - size))
        y, x = corner
        lab = frame.lab((y, x), size, self._frames.stride)
        return lab, labels[y : y + size, x : x + size]

    def _one_of(self, choices: list[int]) -> int:
        return choices[self._below(len(choices))]

    def _below(self, count: int) -> int:
        return int(torch.randint(count, (1,), generator=self.generator))


def _objects(labels: Tensor) -> list[int]:
    return [i for i in labels.unique().tolist() if i not in (0, UNKNOWN)]


def _loss(learner: nn.Module, pairs: _Pairs, temperature: float, device: torch.device) -> Tensor:
    """Of one pair, both ways."""
    lab, labels = pairs.draw()
    lab = lab.to(device)
    if getattr(learner, "behind_bottleneck", False):
        dropped = torch.randint(1, 3, (1,), generator=pairs.generator)
        lab = drop_chroma(lab[None], dropped)[0]
    with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
        images = lab.contiguous(memory_format=torch.channels_last)
        features = F.normalize(learner(images).float(), dim=1).flatten(2)
    flat = [each.flatten().to(device) for each in labels]
    losses = []
    for i, j in ((0, 1), (1, 0)):
        known = flat[j] != UNKNOWN
        asked = _asked(flat[i], flat[j][known].unique(), pairs)
        losses.append(
            label_loss(
                features[i][:, asked],
                flat[i][asked],
                features[j][:, known],
                flat[j][known],
                temperature,
                -math.log(pairs.settings.enough),
                pairs.settings.cap,
            )
        )
    return torch.stack(losses).mean()


def _asked(labels: Tensor, present: Tensor, pairs: _Pairs) -> Tensor:
    """Indices of positions whose label the other frame has too, of each label as many as are asked at most."""
    chosen = []
    for label in present:
        there = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(there), generator=pairs.generator)[: pairs.settings.queries]
        chosen.append(there[order.to(there.device)])
    return torch.cat(chosen)
