"""Predicted masks on disk, as the field's tools expect them."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from vos_lightning.callbacks.run_folder import Picture
from vos_lightning.errors import VOSError
from vos_lightning.io.overlay import overlay
from vos_lightning.io.writers import MaskWriter, VideoWriter


class PredictionWriter(Callback):
    """Writes the masks of `predict` as palette PNGs: directory/sequence/frame.png.

    Args:
        directory: where the folders of the sequences go.
        overlay: also write the masks over the frames, as directory/sequence/overlay.mp4.
    """

    def __init__(self, directory: str = "predictions", overlay: bool = False) -> None:
        self.directory = Path(directory)
        self.overlay = overlay
        self._video: VideoWriter | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Have the masks shown to this as they come, for the video."""
        observers = getattr(pl_module, "observers", None)
        if stage == "predict" and self.overlay and observers is not None and self._observe not in observers:
            observers.append(self._observe)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write one sequence.

        Raises:
            VOSError: the sequence's name leads out of the directory.
        """
        with MaskWriter(self._folder(outputs["sequence"]), outputs["palette"]) as writer:
            for name, mask in zip(outputs["names"], outputs["masks"], strict=True):
                writer.write(name, mask.numpy())
        if self._video is not None:
            self._video.close()
            self._video = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave no half-written video."""
        if self._video is not None:
            self._video.discard()

    def _observe(self, item: dict[str, Any], t: int, frame: Picture, ids: Picture) -> None:
        """One mask as it comes; see `TrackingTask.observers`."""
        if self._video is None:
            folder = self._folder(item["sequence"])
            folder.mkdir(parents=True, exist_ok=True)
            self._video = VideoWriter(folder / "overlay.mp4", item["frames"].fps)
        self._video.write(overlay(frame, ids, item.get("palette")))

    def _folder(self, sequence: str) -> Path:
        folder = self.directory / sequence
        if not folder.resolve().is_relative_to(self.directory.resolve()):
            raise VOSError(f"sequence {sequence!r} would be written outside of {self.directory}; rename it")
        return folder
