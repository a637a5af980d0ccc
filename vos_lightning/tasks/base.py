"""What the tracking tasks share: validation by whole sequences, and prediction."""

import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from vos_lightning.batches import EvaluationItem, Prediction
from vos_lightning.errors import VOSError
from vos_lightning.inference.adaptation import AdapterSettings, adapt_pairs
from vos_lightning.inference.primitives import from_primitives
from vos_lightning.inference.saved_settings import read_model
from vos_lightning.inference.tracking.matches import true_match_share
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.track import Track, as_frame, track
from vos_lightning.inference.tracking.trackers import Tracker
from vos_lightning.inference.weights import TASK_KEY, require_finite
from vos_lightning.metrics import JFMeasure, TrueMatches

# Sees each frame of a sequence with its masks: (evaluation item, index of the frame, frame (H, W, 3), ids (H, W)).
Observer = Callable[[EvaluationItem, int, np.ndarray, np.ndarray], None]


class TrackingTask(pl.LightningModule, ABC):
    """A LightningModule that tracks: subclasses say how (`tracker`) and how they learn (`training_step`).

    Args:
        tracking: how masks are read out, as settings or as a checkpoint's mapping of them.
        adapter: adapt a network to each sequence of test and prediction, and take its masks; None doesn't. Not in
            validation, which would take minutes longer. No part of the trained model: subclasses don't save it.

    Attributes:
        task: its name in weights files, whatever a subclass is called.
        unsaved: options that no checkpoint holds, and that are never taken from one.
        observers: called with every mask as it comes, in validation, test and prediction.
    """

    task: ClassVar[str]
    unsaved: ClassVar[tuple[str, ...]] = ("init_from", "compile", "adapter")

    def __init__(self, tracking: TrackingSettings | Mapping[str, Any], adapter: AdapterSettings | None = None) -> None:
        super().__init__()
        if "lightning.pytorch" in sys.modules:
            rank_zero_warn(
                f"{type(self).__name__} belongs to pytorch_lightning, and the Trainer of lightning.pytorch, which was "
                "imported, refuses it: use that of `import pytorch_lightning as pl`"
            )
        if not isinstance(tracking, TrackingSettings):
            tracking = from_primitives(TrackingSettings, tracking, "tracking")
        self.tracking = tracking
        self.adapter = adapter
        self.val_jf = JFMeasure()
        self.test_jf = JFMeasure()
        self.val_matches = TrueMatches()
        self.observers: list[Observer] = []

    @abstractmethod
    def tracker(self) -> Tracker:
        """The networks as they are, ready to track."""

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's takes hyper-parameters from elsewhere, too
        cls,
        checkpoint_path: str | Path,
        map_location: Any = "cpu",  # noqa: ANN401 - torch's
        strict: bool = True,
        weights_only: Literal[True] = True,
        **options: Any,  # noqa: ANN401
    ) -> Self:
        """A model as a checkpoint has it, also of version 0.1.0, whose hyper-parameters had other names.

        Lightning's own has a parser build what the hyper-parameters name, and imports modules for that; here they are
        values, checked by their types.

        Args:
            checkpoint_path: of a checkpoint of this task.
            map_location: where to put it.
            strict: all weights must fit.
            weights_only: nothing else is done here; in the place that Lightning has for it.
            options: of the task, instead of those that the checkpoint holds.

        Raises:
            VOSError: the file can't be read, is none of Lightning's, or does not fit the task.
        """
        settings, state = read_model(Path(checkpoint_path), cls, map_location)
        model = cls(**(settings | options))
        try:
            model.load_state_dict(state, strict=strict)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise VOSError(f"{checkpoint_path} does not hold weights of this {cls.__name__}: {reason}") from error
        return model.to(next(iter(state.values()), torch.tensor(0)).device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which task it is."""
        checkpoint[TASK_KEY] = {"task": self.task}

    def track(self, sequence: EvaluationItem, adapter: AdapterSettings | None = None) -> Iterator[np.ndarray]:
        """Masks (H, W) of an evaluation item, frame by frame; see `vos_lightning.data` for its keys.

        In bfloat16 where the Trainer's precision is (`bf16-mixed`, `bf16-true`), else in float32.

        Args:
            sequence: the item.
            adapter: how to adapt to it, None doesn't.

        Raises:
            VOSError: names the sequence.
        """
        frames = sequence["frames"]
        given = {t: np.asarray(prompt) for t, prompt in sequence["prompts"].items()}  # loaders make tensors of them
        kind = self.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.dtype
        precision = torch.bfloat16 if dtype == torch.bfloat16 else torch.float32
        propagator = self.tracker().prepared(self.device, precision).propagator()
        pairs: Iterator[tuple[Any, np.ndarray]] = track(Track(propagator, self.device), frames, given)
        if adapter is not None:
            masks = adapt_pairs(pairs, frames, given, adapter, sequence["sequence"], self.device)
            pairs = zip(frames, masks, strict=True)
        try:
            for t, (frame, ids) in enumerate(pairs):
                for observer in self.observers:
                    observer(sequence, t, frame, ids)
                yield ids
        except VOSError as error:
            raise type(error)(f"{sequence['sequence']}: {error}") from error

    def on_validation_start(self) -> None:
        """As `on_test_start` where nothing is trained."""
        if self.trainer.state.fn == "validate":
            require_finite(self.state_dict())

    def on_test_start(self) -> None:
        """Check that the weights are finite: masks of others are blank, and look like a result."""
        require_finite(self.state_dict())

    def on_predict_start(self) -> None:
        """As `on_test_start`."""
        require_finite(self.state_dict())

    def validation_step(self, batch: EvaluationItem, batch_idx: int) -> None:
        """Track one whole sequence and score it, and how well its first frame is found in a warped view of it."""
        self._score(batch, self.val_jf, None)
        tracker, name = self.tracker().prepared(self.device), batch["sequence"]
        share = true_match_share(tracker, as_frame(batch["frames"][0], 0).to(self.device), zlib.crc32(name.encode()))
        self.val_matches.update(share, name)

    def test_step(self, batch: EvaluationItem, batch_idx: int) -> None:
        """Track one whole sequence and score it."""
        self._score(batch, self.test_jf, self.adapter)

    def predict_step(self, batch: EvaluationItem, batch_idx: int) -> Prediction:
        """Track one whole sequence; gives the masks of the frames that are evaluated."""
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
        """Log J, F and their mean over all objects of all sequences, and the share of true matches."""
        self._log_scores("val", self.val_jf)
        self.log("val/true_matches", self.val_matches.compute(), sync_dist=False)
        self.val_matches.reset()

    def on_test_epoch_end(self) -> None:
        """As `on_validation_epoch_end`."""
        self._log_scores("test", self.test_jf)

    def _score(self, batch: EvaluationItem, measure: JFMeasure, adapter: AdapterSettings | None) -> None:
        targets = batch["targets"]
        assert targets is not None, "loaders of validation and test give sequences with ground truth"
        masks = (targets[t] for t in range(len(targets)))
        measure.update(self.track(batch, adapter), masks, batch["sequence"], batch["object_ids"])

    def _log_scores(self, stage: str, measure: JFMeasure) -> None:
        scores: dict[str, Tensor] = measure.compute()
        # Rank-zero values are everyone's: compute() has gathered the rows already.
        self.log_dict({f"{stage}/{name}": scores[name] for name in ("J", "F", "JF")}, prog_bar=True, sync_dist=False)
        measure.reset()
