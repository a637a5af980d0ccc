"""What the network does, to look at: reconstructions while it trains, masks over frames where it validates."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.seed import isolate_rng

from vos_lightning.callbacks.loggers import log_masks, log_picture, log_video
from vos_lightning.callbacks.run_folder import Picture, run_folder, save_picture
from vos_lightning.callbacks.strips import SequenceStrip


class Pictures(Callback):
    """Pictures on disk, in `pictures` in the run folder, and in W&B and TensorBoard where these are in use.

    - training: what the task's `pictures(batch)` gives, as `train/step-00000500-NAME.png`
    - validation: a strip of frames with the masks burnt in, the ground truth above the prediction, as
      `val/step-00000500-SEQUENCE.jpg`, and the latest video of each sequence as `val/SEQUENCE.mp4`. W&B also gets the
      last frame of the strip with masks that can be switched on and off.

    Args:
        every_n_steps: of training; 0 for none.
        sequences: how many of the validation sequences, the first ones of each rank; 0 for none.
        frames: of each, evenly spread over its length.
        video_frames: the most that a video has, from the sequence's beginning; 0 for no videos.
        size: longer sides are scaled down to this, in pixels.
    """

    def __init__(
        self, every_n_steps: int = 500, sequences: int = 4, frames: int = 4, video_frames: int = 48, size: int = 320
    ) -> None:
        self.every_n_steps, self.sequences, self.frames = every_n_steps, sequences, frames
        self.video_frames, self.size = video_frames, size
        self._strips: dict[str, SequenceStrip] = {}
        self._folder = Path()
        self._step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Have the masks of validation shown to this."""
        # asked for here, where all ranks are: only the first knows what its logger calls the run
        self._folder = Path(trainer.strategy.broadcast(str(run_folder(trainer)))) / "pictures"
        observers = getattr(pl_module, "observers", None)
        if stage in ("fit", "validate") and observers is not None and self.sequences and self._observe not in observers:
            observers.append(self._observe)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Draw a batch, every few steps."""
        stepped, self._step = trainer.global_step > self._step, trainer.global_step
        if not stepped or not self.every_n_steps or trainer.global_step % self.every_n_steps:
            return
        draw = getattr(pl_module, "pictures", None)
        if draw is None or not trainer.is_global_zero:
            return
        with _evaluation(pl_module), torch.no_grad(), isolate_rng(), trainer.precision_plugin.train_step_context():
            pictures = draw(batch)
        for name, tensor in pictures.items():
            picture = tensor.permute(1, 2, 0).cpu().numpy()
            save_picture(self._folder / "train" / f"{_stem(trainer)}-{name}.png", picture)
            log_picture(trainer, f"pictures/{name}", picture, f"step {trainer.global_step}")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from here."""
        self._step = trainer.global_step

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        self._strips = {}

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write and show what was gathered."""
        strips, self._strips = self._strips, {}
        for name, strip in strips.items():
            video = strip.close()
            if trainer.sanity_checking or not strip.columns:
                continue
            when = f"{name}, step {trainer.global_step}"
            picture, caption = strip.picture(), f"{when}: {strip.caption()}"
            save_picture(self._folder / "val" / f"{_stem(trainer)}-{name}.jpg", picture)
            if trainer.is_global_zero:
                frame, masks = strip.last()
                log_picture(trainer, f"val/{name}", picture, caption)
                log_masks(trainer, f"val/{name}/masks", frame, masks, when)
                if video is not None:
                    log_video(trainer, f"val/{name}/video", video, when)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave no half-written video."""
        for strip in self._strips.values():
            strip.discard()

    def _observe(self, item: dict[str, Any], t: int, frame: Picture, ids: Picture) -> None:
        """One mask as it comes; see `TrackingTask.observers`."""
        name = item["sequence"].replace("/", "_")
        if name not in self._strips:
            if len(self._strips) >= self.sequences:
                return
            video = self._folder / "val" / f"{name}.mp4" if self.video_frames else None
            self._strips[name] = SequenceStrip(item, self.frames, self.video_frames, self.size, video)
        self._strips[name].add(t, frame, ids)


def _stem(trainer: pl.Trainer) -> str:
    return f"step-{trainer.global_step:08d}"


@contextmanager
def _evaluation(module: torch.nn.Module) -> Iterator[None]:
    """Every part in evaluation mode, and each back in its own afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
