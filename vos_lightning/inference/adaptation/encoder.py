"""An encoder that learns from one video's own masks what to tell apart in it.

Not the papers': their adapter is the U-Net of this package. An encoder that has learned from raw videos needs a few
steps only, and the masks are then propagated again with the features that it makes.
"""

import math
import zlib
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vos_lightning.errors import VOSError
from vos_lightning.functional.colour import drop_chroma
from vos_lightning.functional.losses import label_loss
from vos_lightning.inference.adaptation.crop_pairs import CropPairs
from vos_lightning.inference.adaptation.labelled_frames import UNKNOWN, LabelledFrames

WARM_UP = 5  # steps


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
    if not any(frame.objects for frame in frames):
        return None
    device = torch.device(device)
    # whatever the caller is in the middle of
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        learner = _copy(encoder).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        seed = zlib.crc32(f"{settings.seed} {sequence}".encode())
        pairs = CropPairs(frames, settings.crop, settings.given_share, settings.reach, seed)
        optimizer = torch.optim.Adam(learner.parameters(), lr=settings.learning_rate)
        for step in range(settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _share_of_rate(step, settings.steps)
            optimizer.zero_grad()
            _loss(learner, pairs, temperature, settings, device).backward()
            optimizer.step()
    adapted: nn.Module = learner.requires_grad_(False)
    return adapted


def _copy(encoder: nn.Module) -> nn.Module:
    """In evaluation mode: one video is too little for statistics of batch norms."""
    copied = deepcopy(encoder).eval()
    # weights that were loaded in inference mode can't learn
    copied.load_state_dict({name: value.clone() for name, value in encoder.state_dict().items()}, assign=True)
    return copied.requires_grad_(True)


def _share_of_rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _loss(
    learner: nn.Module, pairs: CropPairs, temperature: float, settings: EncoderSettings, device: torch.device
) -> Tensor:
    """Of one pair, both ways."""
    lab, labels = pairs.draw()
    lab = lab.to(device)
    if getattr(learner, "behind_bottleneck", False):
        dropped = torch.randint(1, 3, (1,), generator=pairs.generator)
        lab = drop_chroma(lab[None], dropped)[0]
    with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
        images = lab.contiguous(memory_format=torch.channels_last)
        features = learner(images).float().flatten(2)
    flat = [each.flatten().to(device) for each in labels]
    losses = []
    for i, j in ((0, 1), (1, 0)):
        known = flat[j] != UNKNOWN
        asked = _asked(flat[i], flat[j][known].unique(), settings.queries, pairs.generator)
        losses.append(
            label_loss(
                features[i][:, asked],
                flat[i][asked],
                features[j][:, known],
                flat[j][known],
                temperature,
                -math.log(settings.enough),
                settings.cap,
            )
        )
    return torch.stack(losses).mean()


def _asked(labels: Tensor, present: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices of positions whose label the other frame has too, of each label as many as are asked at most."""
    chosen = []
    for label in present:
        there = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(there), generator=generator)[:count]
        chosen.append(there[order.to(there.device)])
    return torch.cat(chosen)
