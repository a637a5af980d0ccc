"""The per-sequence adapter of SSVOS as a LightningModule."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from vos_lightning.batches import AdapterBatch, AdapterItem, Prediction
from vos_lightning.errors import VOSError
from vos_lightning.inference.adaptation import AdapterSettings
from vos_lightning.inference.adaptation.network import batch_loss, initial_network, normalise
from vos_lightning.inference.primitives import from_primitives
from vos_lightning.metrics import JFMeasure
from vos_lightning.transforms.images import resize_image


class OnlineAdapter(pl.LightningModule):
    """Learns the objects of one sequence from its propagated masks (SSVOS §3.3, §4.1).

    The training is that of `inference.adaptation.adapt` in offline mode: with equal settings, seed and number of steps
    and `precision: bf16-mixed`, weights, batches, losses and learning rates are the same. Two things differ: masks of
    objects that the user gave later than the first weigh as much as propagated ones, since the datamodule doesn't know
    them; and the predicted masks are the network's alone, as in the paper (`PAPER_SETTINGS`).

    Batches and sequences: see `data.OneSequenceDataModule`. With ground truth, each validation is a point of the
    early-stopping curve (Fig. 3): `val/J`, `val/F`, `val/JF` against it, `val/J_propagated`, … against the masks that
    were learned from.

    Args:
        num_objects: K, of the masks.
        width: multiplies the network's channels, 1.0 is ResNet-18's.
        size: of the frames, in pixels; that of the datamodule.
        learning_rate: of Adam.
        decay_every: steps after which the learning rate is multiplied by `decay`.
        decay: see `decay_every`.
        frame_decay: the loss of frame t weighs ``max(frame_decay ** t, min_frame_weight)``.
        min_frame_weight: see `frame_decay`.
        seed: of the initial weights; that of the datamodule is of order and augmentation.
    """

    def __init__(
        self,
        num_objects: int = 1,
        width: float = 1.0,
        size: int = 480,
        learning_rate: float = 2e-4,
        decay_every: int = 50,
        decay: float = 0.5,
        frame_decay: float = 0.995,
        min_frame_weight: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.settings = from_primitives(AdapterSettings, self.hparams, "model")
        self.network = initial_network(1 + num_objects, self.settings)
        self.val_jf, self.val_propagated = JFMeasure(), JFMeasure()

    def forward(self, frames: Tensor) -> Tensor:
        """RGB uint8 (B, 3, H, W) -> logits (B, K + 1, H, W)."""
        logits: Tensor = self.network(normalise(frames))
        return logits

    def training_step(self, batch: AdapterBatch, batch_idx: int) -> Tensor:
        """Weighted cross entropy + Dice."""
        loss = batch_loss(self(batch["frames"]), batch, self.settings)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_batch_start(self, batch: AdapterBatch, batch_idx: int) -> None:
        """Compare the number of objects with that of the outputs.

        Raises:
            VOSError: more objects than outputs; says how many there are.
        """
        if (count := int(batch["num_classes"].max()) - 1) > self.hparams["num_objects"]:
            raise VOSError(f"the masks hold {count} objects; set model.init_args.num_objects to that, or merge them")

    def segment(self, sequence: AdapterItem) -> Iterator[np.ndarray]:
        """Masks of a sequence, (H, W) uint8 ids, frame by frame."""
        ids = torch.tensor([0, *sequence["object_ids"]], dtype=torch.uint8, device=self.device)
        for frame in sequence["frames"]:
            image = torch.from_numpy(resize_image(frame, self.settings.size)).permute(2, 0, 1)[None].to(self.device)
            logits = F.interpolate(self(image).float(), frame.shape[:2], mode="bilinear", align_corners=False)
            yield ids[logits[0].argmax(0)].cpu().numpy()

    def validation_step(self, batch: AdapterItem, batch_idx: int) -> None:
        """Score the whole sequence, against the truth and against the propagated masks."""
        assert batch["targets"] is not None, "the datamodule validates with targets only"
        masks = list(self.segment(batch))
        self.val_jf.update(masks, batch["targets"], batch["sequence"], batch["object_ids"])
        self.val_propagated.update(masks, batch["masks"], batch["sequence"], batch["object_ids"])

    def on_validation_epoch_end(self) -> None:
        """Log a point of the curve."""
        for measure, suffix in ((self.val_jf, ""), (self.val_propagated, "_propagated")):
            scores: dict[str, Tensor] = measure.compute()
            self.log_dict({f"val/{name}{suffix}": scores[name] for name in ("J", "F", "JF")}, prog_bar=not suffix)
            measure.reset()

    def predict_step(self, batch: AdapterItem, batch_idx: int) -> Prediction:
        """Segment the sequence; returns what `TrackingTask.predict_step` does."""
        return {
            "sequence": batch["sequence"],
            "names": batch["frames"].names,
            "masks": torch.from_numpy(np.stack(list(self.segment(batch)))),
            "palette": batch["palette"],
        }

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many forms
        """Adam, its learning rate multiplied every few steps."""
        settings = replace(self.settings, steps=self.trainer.max_steps) if self.trainer.max_steps > 0 else self.settings
        optimizer = torch.optim.Adam(self.parameters(), lr=settings.learning_rate)
        schedule = LambdaLR(optimizer, settings.learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
