"""What the tracking tasks share: validation by whole sequences, and prediction."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from vos_lightning.errors import VOSError
from vos_lightning.inference.adaptation import adapt_pairs
from vos_lightning.inference.adaptation_settings import AdapterSettings
from vos_lightning.inference.trackers import SequenceTracker
from vos_lightning.metrics import JFMeasure

# Sees each frame of a sequence with its masks: (evaluation item, index of the frame, frame (H, W, 3), ids (H, W)).
Observer = Callable[[dict[str, Any], int, np.ndarray, np.ndarray], None]


class TrackingTask(pl.LightningModule, ABC):
    """A LightningModule that tracks: subclasses say how (`propagator`) and how they learn (`training_step`).

    Args:
        adapter: adapt a network to each sequence of test and prediction, and take its masks; None doesn't. Not in
            validation, which would take minutes longer. No part of the trained model: subclasses don't save it.

    Attributes:
        observers: called with every mask as it comes, in validation, test and prediction.
    """

    def __init__(self, adapter: AdapterSettings | None = None) -> None:
        super().__init__()
        self.adapter = adapter
        self.val_jf = JFMeasure()
        self.test_jf = JFMeasure()
        self.observers: list[Observer] = []

    @abstractmethod
    def propagator(self) -> SequenceTracker:
        """A tracker for one sequence."""

    def track(self, sequence: dict[str, Any], adapter: AdapterSettings | None = None) -> Iterator[np.ndarray]:
        """Masks (H, W) of an evaluation item, frame by frame; see `vos_lightning.data` for its keys.

        Args:
            sequence: the item.
            adapter: how to adapt to it, None doesn't.
        """
        frames, pairs = sequence["frames"], self._propagate(sequence)
        if adapter is not None:
            given = {t: np.asarray(prompt) for t, prompt in sequence["prompts"].items()}  # loaders make tensors of them
            masks = adapt_pairs(pairs, frames, given, adapter, sequence["sequence"], self.device)
            pairs = zip(frames, masks, strict=True)
        for t, (frame, ids) in enumerate(pairs):
            for observer in self.observers:
                observer(sequence, t, frame, ids)
            yield ids

    def _propagate(self, sequence: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frames and their propagated masks."""
        propagator = self.propagator()
        for t, frame in enumerate(sequence["frames"]):
            prompt = sequence["prompts"].get(t)
            mask = None if prompt is None else torch.as_tensor(prompt, device=self.device)
            image = torch.from_numpy(frame).permute(2, 0, 1).to(self.device)
            try:
                ids = propagator.step(image, mask)
            except VOSError as error:
                raise type(error)(f"{sequence['sequence']}: {error}") from error
            yield frame, ids.cpu().numpy()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Track one whole sequence and score it."""
        self._score(batch, self.val_jf, None)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Track one whole sequence and score it."""
        self._score(batch, self.test_jf, self.adapter)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Track one whole sequence.

        Returns:
            `sequence`; `names` of the frames that are evaluated (all of them unless the dataset says which) and their
            `masks`, (T, H, W) uint8; the `palette` of the dataset's masks.
        """
        required = batch.get("required")
        kept = [
            (name, mask)
            for t, (name, mask) in enumerate(zip(batch["frames"].names, self.track(batch, self.adapter), strict=True))
            if required is None or t in required
        ]
        return {
            "sequence": batch["sequence"],
            "names": [name for name, _ in kept],
            "masks": torch.from_numpy(np.stack([mask for _, mask in kept])),
            "palette": batch["palette"],
        }

    def on_validation_epoch_end(self) -> None:
        """Log J, F and their mean over all objects of all sequences."""
        self._log_scores("val", self.val_jf)

    def on_test_epoch_end(self) -> None:
        """As `on_validation_epoch_end`."""
        self._log_scores("test", self.test_jf)

    def _score(self, batch: dict[str, Any], measure: JFMeasure, adapter: AdapterSettings | None) -> None:
        measure.update(self.track(batch, adapter), batch["targets"], batch["sequence"], batch["object_ids"])

    def _log_scores(self, stage: str, measure: JFMeasure) -> None:
        scores: dict[str, Tensor] = measure.compute()
        # Rank-zero values are everyone's: compute() has gathered the rows already.
        self.log_dict({f"{stage}/{name}": scores[name] for name in ("J", "F", "JF")}, prog_bar=True, sync_dist=False)
        measure.reset()
