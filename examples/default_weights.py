"""Train the weights that ship: the reconstruction model's pairwise stage, by the clock, on one thread.

    python examples/default_weights.py CLIPS --output runs/default_weights --minutes 112

`lightning fit --config mast_videos` trains the same loss; this adds what that has no option for: an exponential average
of the weights, crops that grow from 128 to 192 pixels and gaps that grow from 3 to 5 frames on the way, and a cosine
over minutes rather than steps. Every few minutes the run is saved; started again, it goes on.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vos_lightning import MAST
from vos_lightning.batches import TrainingBatch
from vos_lightning.data import VideoFolderDataModule
from vos_lightning.functional.colour import draw_dropped_chroma, drop_chroma, rgb_to_lab, take_channel
from vos_lightning.functional.losses import reconstruction_loss
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.weights import save_tracker
from vos_lightning.models.reconstruction import ReconstructionEncoder, reconstruct

WARM_UP = 60  # steps
AT_A_TIME = 150  # steps from one datamodule, whose gaps and crops stay as they are
SAVE_EVERY = 480.0  # seconds


@dataclass(frozen=True)
class Scale:
    """Crops in pixels, clips per batch, radius of the window in feature positions."""

    crop_size: int
    batch_size: int
    radius: int


EARLY, LATE = Scale(128, 8, 6), Scale(192, 4, 9)


class Run:
    """What is learned so far, and for how long."""

    def __init__(self, folder: Path, width: float) -> None:
        torch.manual_seed(0)
        self.encoder = ReconstructionEncoder(width).to(memory_format=torch.channels_last)
        self.average = AveragedModel(self.encoder, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
        self.optimizer = torch.optim.Adam(self.encoder.parameters(), lr=1e-3)
        self.step, self.seconds, self.chunk = 0, 0.0, 0
        self._file = folder / "last.pt"
        if self._file.exists():
            saved = torch.load(self._file, weights_only=True)
            for name in ("encoder", "average", "optimizer"):
                getattr(self, name).load_state_dict(saved[name])
            self.step, self.seconds, self.chunk = saved["progress"]

    def save(self) -> None:
        """Put it on disk, whole or not at all."""
        parts = {name: getattr(self, name).state_dict() for name in ("encoder", "average", "optimizer")}
        half_written = self._file.with_suffix(".tmp")
        torch.save(parts | {"progress": (self.step, self.seconds, self.chunk)}, half_written)
        half_written.replace(self._file)

    def learn(self, batch: TrainingBatch, radius: int, progress: float) -> float:
        """One step; `progress` of the time is over, in [0, 1]. Returns the loss."""
        rate = 1e-3 * min(1, (self.step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1, progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(batch, radius)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.encoder)
        self.step += 1
        return loss.item()

    def _loss(self, batch: TrainingBatch, radius: int) -> Tensor:
        """Each frame of a pair from the other (SSVOS eqs. 1 and 2)."""
        lab = rgb_to_lab(batch["frames"])
        dropped = draw_dropped_chroma(batch["seed"])
        seen, colours = drop_chroma(lab, dropped), take_channel(lab, dropped)
        with torch.autocast("cpu", torch.bfloat16):
            images = seen.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            features = self.encoder(images).unflatten(0, seen.shape[:2])
        losses = [
            reconstruction_loss(
                reconstruct(features[:, t], features[:, [1 - t]], colours[:, [1 - t]], radius, temperature=0.05),
                colours[:, t],
            )
            for t in (0, 1)
        ]
        return torch.stack(losses).mean()


def batches(root: Path, scale: Scale, max_gap: int, seed: int) -> Iterator[TrainingBatch]:
    """Pairs of crops, augmented."""
    data = VideoFolderDataModule(
        root,
        batch_size=scale.batch_size,
        num_workers=0,
        clip_length=2,
        crop_size=scale.crop_size,
        short_side=320,
        max_gap=max_gap,
        crop_scale=(0.05, 0.6),
        colour_jitter=0.3,
        clips_per_video=20,
        seed=seed,
    )
    data.setup("fit")
    for number, batch in zip(range(AT_A_TIME), data.train_dataloader(), strict=False):
        yield data.on_after_batch_transfer(batch, number)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write `weights.safetensors`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of videos or of folders of frames")
    parser.add_argument("--output", type=Path, default=Path("runs/default_weights"))
    parser.add_argument("--minutes", type=float, default=112)
    parser.add_argument("--width", type=float, default=0.5)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    run = Run(options.output, options.width)
    clock = saved = time.monotonic()
    while (progress := run.seconds / (60 * options.minutes)) < 1:
        scale = EARLY if progress < 0.5 else LATE
        for batch in batches(options.root, scale, round(3 + 2 * progress), seed=5000 + run.chunk):
            progress = run.seconds / (60 * options.minutes)
            loss = run.learn(batch, scale.radius, progress)
            run.seconds, clock = run.seconds + time.monotonic() - clock, time.monotonic()
            if run.step % 25 == 0:
                print(f"step {run.step}, {run.seconds / 60:.1f} minutes: {loss:.4f}", flush=True)
            if clock - saved > SAVE_EVERY:
                run.save()
                saved = clock
            if progress >= 1:
                break
        run.chunk += 1
    run.save()
    model = MAST(width=options.width, radius=LATE.radius, temperature=0.05, tracking=TrackingSettings(max_size=640))
    model.encoder.load_state_dict(run.average.module.state_dict())
    save_tracker(options.output / "weights.safetensors", model.state_dict(), dict(model.hparams), model.task)


if __name__ == "__main__":
    main()
