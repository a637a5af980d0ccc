"""The network of one sequence: fresh weights, its own optimizer and random numbers, trained in small portions."""

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vos_lightning.functional.losses import adapter_loss
from vos_lightning.inference.adaptation_frames import Batch, Pixels, TrainingFrames
from vos_lightning.inference.adaptation_settings import AdapterSettings
from vos_lightning.io.prefetch import BackgroundReader
from vos_lightning.models.unet import UNet
from vos_lightning.transforms.images import ImageAugmentation


class SequenceNetwork:
    """A U-Net that learns one sequence and nothing else.

    Works wherever it is called from: in inference mode, without gradients, under autocast. No global random state is
    read or changed.

    Args:
        settings: how it learns.
        sequence: name; seeds all that is random, together with the settings' seed.
        device: where it runs.

    Attributes:
        num_classes: background and the objects that it has outputs for; 0 before the first training.
        step: steps taken.
        loss: of the last one.
        seconds: spent on them.
    """

    def __init__(self, settings: AdapterSettings, sequence: str, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.num_classes = 0
        self.step = 0
        self.loss = float("nan")
        self.seconds = 0.0
        self._seed = zlib.crc32(f"{settings.seed} {sequence}".encode())
        self._generator = torch.Generator().manual_seed(self._seed)
        self._augmentation = ImageAugmentation(self._seed)
        self._network: UNet | None = None
        self._optimizer: torch.optim.Adam | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the wall-clock budget is spent."""
        return self.settings.seconds is not None and self.seconds >= self.settings.seconds

    def train(self, frames: TrainingFrames, num_classes: int, steps: int) -> None:
        """Take some steps, or fewer where the wall-clock budget ends.

        Args:
            frames: to learn from, at least one.
            num_classes: background and all objects given so far.
            steps: optimizer steps.
        """
        with outside_inference():
            self._prepare(num_classes)
            batches = frames.batches(steps, self.settings.batch_size, num_classes, self._augmentation, self._generator)
            ahead = iter(BackgroundReader(batches))  # augments the next ones while this one is learned
            start, before = time.monotonic(), self.seconds
            while not self.exhausted and (batch := next(ahead, None)) is not None:
                self._update(batch)
                self.seconds = before + time.monotonic() - start

    def _prepare(self, num_classes: int) -> None:
        """Make the network, or give it room for more objects."""
        if num_classes == self.num_classes:
            return
        with own_random_state(self._seed + num_classes):
            if self._network is None:
                self._network = UNet(num_classes, self.settings.width)
                self._network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            else:
                self._network.add_classes(num_classes - self.num_classes)
        self.num_classes = num_classes
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=self.settings.learning_rate)

    def _update(self, batch: Batch) -> None:
        assert self._network is not None
        assert self._optimizer is not None
        for group in self._optimizer.param_groups:
            group["lr"] = self.settings.learning_rate_at(self.step)
        frames, labels, weights, known = (part.to(self.device) for part in batch)
        self._network.train()
        with fast_convolutions(self.device):
            logits = self._network(normalise(frames))
        loss = adapter_loss(logits, labels, weights, known)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.loss = loss.item()
        self.step += 1

    @torch.inference_mode()
    def predict(self, image: Pixels) -> Tensor:
        """RGB (size, size, 3) -> logits (K + 1, size, size) float32, background first."""
        assert self._network is not None, "train first"
        self._network.eval()
        with fast_convolutions(self.device):
            frames = torch.from_numpy(image).permute(2, 0, 1)[None].to(self.device)
            logits: Tensor = self._network(normalise(frames))[0].float()
        return logits


def normalise(frames: Tensor) -> Tensor:
    """uint8 RGB (B, 3, H, W) -> [-1, 1], channels last."""
    return (frames.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def fast_convolutions(device: torch.device) -> torch.autocast:
    """bfloat16, whatever the caller's autocast state.

    Without the cache of cast weights: within a caller's autocast it would outlive the optimizer's step.
    """
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


@contextmanager
def outside_inference() -> Iterator[None]:
    """Gradients, also where the caller is in inference mode, as Lightning's test and predict are."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def own_random_state(seed: int) -> Iterator[None]:
    """Seed the CPU's generator and put its state back: modules draw their weights from it."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)
