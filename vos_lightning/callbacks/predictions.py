"""Predicted masks on disk, as the field's tools expect them."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_info

from vos_lightning.callbacks.run_folder import Picture
from vos_lightning.errors import VOSError
from vos_lightning.io.locks import FolderLock
from vos_lightning.io.mask_folder import MANIFEST_NAME, MaskFolder, read_manifest, remove_results
from vos_lightning.io.overlay import overlay
from vos_lightning.io.writers import MaskWriter, VideoWriter
from vos_lightning.ranks import gather, raise_together

OVERLAY = "overlay.mp4"


class PredictionWriter(Callback):
    """Writes the masks of `predict` as palette PNGs: directory/sequence/frame.png.

    A sequence of an earlier `predict` is replaced when its new masks are complete; those that this one doesn't have are
    removed at its end.

    Args:
        directory: where the folders of the sequences go.
        overlay: also write the masks over the frames, as directory/sequence/overlay.mp4.
    """

    def __init__(self, directory: str = "predictions", overlay: bool = False) -> None:
        self.directory = Path(directory)
        self.overlay = overlay
        self._lock: FolderLock | None = None
        self._done: list[str] = []
        self._folder: MaskFolder | None = None
        self._video: VideoWriter | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Have the masks shown to this as they come, for the video."""
        observers = getattr(pl_module, "observers", None)
        if stage == "predict" and self.overlay and observers is not None and self._observe not in observers:
            observers.append(self._observe)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hold the directory.

        Raises:
            AllRanksError: another run writes to it.
        """
        reason, self._done = None, []
        if trainer.is_global_zero:
            try:
                self._lock = FolderLock(self.directory)
            except VOSError as error:
                reason = str(error)
        raise_together(reason)

    def on_predict_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: dict[str, Any], *_: int
    ) -> None:
        """Find out before the work whether a sequence can be written.

        Raises:
            VOSError: its name leads out of the directory, or files of somebody else have the names of its masks.
        """
        name, frames, required = batch["sequence"], batch["frames"].names, batch.get("required")
        files = [f"{frame}.png" for t, frame in enumerate(frames) if required is None or t in required]
        folder = self.directory / name
        if not folder.resolve().is_relative_to(self.directory.resolve()):
            raise VOSError(f"sequence {name!r} would be written outside of {self.directory}; rename it")
        self._folder = MaskFolder(folder, [*files, OVERLAY], "predict", shared=True).__enter__()
        if self.overlay:
            self._video = VideoWriter(self._folder.path / OVERLAY, batch["frames"].fps)

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: dict[str, Any], *_: object
    ) -> None:
        """Write one sequence."""
        assert self._folder is not None
        with MaskWriter(self._folder.path, outputs["palette"]) as writer:
            for name, mask in zip(outputs["names"], outputs["masks"], strict=True):
                writer.write(name, mask.numpy())
        if self._video is not None:
            self._video.close()
        folder, self._folder, self._video = self._folder, None, None
        folder.__exit__(None, None, None)
        self._done.append(outputs["sequence"])

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the sequences of an earlier run that this one doesn't have."""
        done = {self.directory / name for names in gather(self._done) for name in names}
        if trainer.is_global_zero:
            for folder in sorted(path for path in self.directory.iterdir() if path.is_dir() and path not in done):
                command, results = read_manifest(folder)
                if command == "predict":
                    remove_results(folder, results)
                    (folder / MANIFEST_NAME).unlink()
                    rank_zero_info(f"removed the masks of an earlier run in {folder}")
                    if not any(folder.iterdir()):
                        folder.rmdir()
        self._release()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave no half-written video, and earlier masks as they were."""
        if self._video is not None:
            self._video.discard()
        if self._folder is not None:
            self._folder.__exit__(type(exception), exception, None)
        self._folder = self._video = None
        self._release()

    def _observe(self, item: dict[str, Any], t: int, frame: Picture, ids: Picture) -> None:
        """One mask as it comes; see `TrackingTask.observers`."""
        if self._video is not None:
            self._video.write(overlay(frame, ids))

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
