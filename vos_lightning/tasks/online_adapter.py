"""The per-sequence adapter of SSVOS as a LightningModule: what `inference.adaptation` does, in a Trainer."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from vos_lightning.errors import VOSError
from vos_lightning.functional.losses import adapter_loss
from vos_lightning.inference.adaptation_network import normalise
from vos_lightning.inference.adaptation_settings import AdapterSettings
from vos_lightning.metrics import JFMeasure
from vos_lightning.models.unet import UNet
from vos_lightning.transforms.images import resize_image


class OnlineAdapter(pl.LightningModule):
    """Learns the looks of the objects of one sequence from its propagated masks (SSVOS §3.3, §4.1).

    Batches and sequences: see `data.OneSequenceDataModule`. With ground truth, each validation is a point of the
    early-stopping curve (Fig. 3): `val/J`, `val/F`, `val/JF` against it, `val/J_propagated`, … against the masks that
    were learned from.

    Args:
        num_objects: K, of the masks.
        width: multiplies the network's channels, 1.0 is ResNet-18's.
        size: of the frames in inference, in pixels; that of training.
        learning_rate: of Adam.
        decay_every: steps after which the learning rate is multiplied by `decay`.
        decay: see `decay_every`.
        frame_decay: the loss of frame t weighs ``max(frame_decay ** t, min_frame_weight)``.
        min_frame_weight: see `frame_decay`.
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
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.settings = AdapterSettings(
            width=width,
            size=size,
            learning_rate=learning_rate,
            decay_every=decay_every,
            decay=decay,
            frame_decay=frame_decay,
            min_frame_weight=min_frame_weight,
        )
        self.network = UNet(1 + num_objects, width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.val_jf, self.val_propagated = JFMeasure(), JFMeasure()

    def forward(self, frames: Tensor) -> Tensor:
        """RGB uint8 (B, 3, H, W) -> logits (B, K + 1, H, W)."""
        logits: Tensor = self.network(normalise(frames))
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Weighted cross entropy + Dice."""
        weights = torch.tensor([self.settings.frame_weight(t) for t in batch["t"].tolist()], device=self.device)
        known = torch.arange(1 + self.hparams["num_objects"], device=self.device) < batch["num_classes"][:, None]
        loss = adapter_loss(self(batch["frames"]), batch["labels"], weights, known)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Refuse masks of more objects than there are outputs.

        Raises:
            VOSError: says how many there are.
        """
        if (count := int(batch["num_classes"].max()) - 1) > self.hparams["num_objects"]:
            raise VOSError(f"the masks hold {count} objects; set model.init_args.num_objects to that, or merge them")

    def segment(self, sequence: dict[str, Any]) -> Iterator[np.ndarray]:
        """Masks of a sequence, (H, W) uint8 ids, frame by frame."""
        ids = torch.tensor([0, *sequence["object_ids"]], dtype=torch.uint8, device=self.device)
        for frame in sequence["frames"]:
            image = torch.from_numpy(resize_image(frame, self.settings.size)).permute(2, 0, 1)[None].to(self.device)
            logits = F.interpolate(self(image).float(), frame.shape[:2], mode="bilinear", align_corners=False)
            yield ids[logits[0].argmax(0)].cpu().numpy()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Score the whole sequence, against the truth and against the propagated masks."""
        masks = list(self.segment(batch))
        self.val_jf.update(masks, batch["targets"], batch["sequence"], batch["object_ids"])
        self.val_propagated.update(masks, batch["masks"], batch["sequence"], batch["object_ids"])

    def on_validation_epoch_end(self) -> None:
        """Log a point of the curve."""
        for measure, suffix in ((self.val_jf, ""), (self.val_propagated, "_propagated")):
            scores: dict[str, Tensor] = measure.compute()
            self.log_dict({f"val/{name}{suffix}": scores[name] for name in ("J", "F", "JF")}, prog_bar=not suffix)
            measure.reset()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Segment the sequence; returns what `TrackingTask.predict_step` does."""
        return {
            "sequence": batch["sequence"],
            "names": batch["frames"].names,
            "masks": torch.from_numpy(np.stack(list(self.segment(batch)))),
            "palette": batch["palette"],
        }

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many forms
        """Adam, its learning rate cut every few steps."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.settings.learning_rate)
        schedule = LambdaLR(optimizer, lambda step: self.settings.learning_rate_at(step) / self.settings.learning_rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
