"""The network of one sequence, its loss and its training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vos_lightning.batches import AdapterBatch
from vos_lightning.functional.losses import adapter_loss
from vos_lightning.inference.adaptation.settings import AdapterSettings
from vos_lightning.io.prefetch import BackgroundReader
from vos_lightning.models.unet import UNet
from vos_lightning.transforms.images import Pixels
from vos_lightning.transforms.training_frames import TrainingFrames


class SequenceNetwork:
    """A U-Net trained on one sequence.

    Can be called in inference mode, without gradients and under autocast; no global random state is read or changed.

    Args:
        settings: of the training.
        device: where it runs.

    Attributes:
        num_classes: background and the objects that it has outputs for; 0 before the first training.
        step: number of steps taken.
        loss: of the last step.
        seconds: spent on training.
    """

    def __init__(self, settings: AdapterSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.num_classes = 0
        self.step = 0
        self.loss = float("nan")
        self.seconds = 0.0
        self._network: UNet | None = None
        self._optimizer: torch.optim.Adam | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the wall-clock budget is spent."""
        return self.settings.seconds is not None and self.seconds >= self.settings.seconds

    def train(self, frames: TrainingFrames, steps: int) -> None:
        """Take some steps, or fewer where the wall-clock budget ends.

        Args:
            frames: to learn from, at least one.
            steps: optimizer steps.
        """
        with torch.inference_mode(False), torch.enable_grad():  # the caller may be in Lightning's test or predict
            self._prepare(1 + len(frames.object_ids))
            ahead = iter(BackgroundReader(frames.batches(steps)))  # augments the next batches meanwhile
            start, before = time.monotonic(), self.seconds
            while not self.exhausted and (batch := next(ahead, None)) is not None:
                self._update(batch)
                self.seconds = before + time.monotonic() - start

    def _prepare(self, num_classes: int) -> None:
        """Make the network, or add outputs for new objects."""
        if num_classes == self.num_classes:
            return
        if self._network is None:
            self._network = initial_network(num_classes, self.settings).to(self.device)
        else:
            with _seeded(self.settings.seed + num_classes):
                self._network.add_classes(num_classes - self.num_classes)
        self.num_classes = num_classes
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=self.settings.learning_rate)

    def _update(self, batch: AdapterBatch) -> None:
        assert self._network is not None
        assert self._optimizer is not None
        for group in self._optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self.settings.learning_rate_factor(self.step)
        self._network.train()
        with _bfloat16(self.device):
            logits = self._network(normalise(batch["frames"].to(self.device)))
        loss = batch_loss(logits, batch, self.settings)
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
        with _bfloat16(self.device):
            frames = torch.from_numpy(image).permute(2, 0, 1)[None].to(self.device)
            logits: Tensor = self._network(normalise(frames))[0].float()
        return logits


def initial_network(num_classes: int, settings: AdapterSettings) -> UNet:
    """An untrained U-Net for K + 1 classes, channels last; its weights depend on the seed only."""
    with _seeded(settings.seed + num_classes):
        return UNet(num_classes, settings.width).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def batch_loss(logits: Tensor, batch: AdapterBatch, settings: AdapterSettings) -> Tensor:
    """Cross entropy + Dice, weighted by the age of the frames.

    Args:
        logits: (B, K + 1, size, size).
        batch: the frames that they were computed from, on any device.
        settings: say how weights decay.
    """
    device = logits.device
    weights = torch.tensor([settings.frame_weight(t) for t in batch["t"].tolist()], device=device)
    known = torch.arange(logits.shape[1], device=device) < batch["num_classes"].to(device)[:, None]
    return adapter_loss(logits, batch["labels"].to(device), weights, known)


def normalise(frames: Tensor) -> Tensor:
    """uint8 RGB (B, 3, H, W) -> [-1, 1], channels last."""
    return (frames.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _bfloat16(device: torch.device) -> torch.autocast:
    """Autocast, whatever the caller's.

    Without the cache of cast weights: within a caller's autocast it would outlive the optimizer's step.
    """
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the CPU's generator, from which modules draw their weights, and put its state back."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)
