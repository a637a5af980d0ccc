"""The MAST-style reconstruction model of SSVOS as a LightningModule."""

from typing import Any

import torch
from torch import Tensor

from vos_lightning.functional.colour import draw_dropped_chroma, drop_chroma, rgb_to_lab, take_channel
from vos_lightning.inference.memory_bank import ReferencePolicy
from vos_lightning.inference.propagation import PropagationSettings, Propagator
from vos_lightning.models.reconstruction import ReconstructionEncoder, reconstruct, reconstruction_loss
from vos_lightning.tasks.base import TrackingTask
from vos_lightning.tasks.schedules import cosine_schedule, halving_schedule


class MAST(TrackingTask):
    """Learns features by reconstructing the colours of a frame from those of other frames (SSVOS §3.1, eqs. 1-3).

    Training batches hold `frames`, (B, T, 3, H, W) RGB in [0, 1] with H and W multiples of 4, and `seed`, (B,) int64.
    Each frame of a clip is reconstructed from the others, so that every encoded frame serves as query and as reference.

    Args:
        width: multiplies the encoder's channels, 1.0 is the paper's.
        feature_dim: D.
        normalize: scale feature vectors to length 1; the papers use raw dot products, which learned less here.
        temperature: divides the similarities, in training and inference; 1.0 with raw dot products.
        radius: of the window in training, in feature positions (1/4 of the pixels); 12 in the paper at 384×384.
        learning_rate: of Adam.
        halve_lr_at: numbers of samples after which the learning rate is halved, as in MAST; None lets it fall to zero
            along a cosine over the whole run.
        test_radius: of the window in inference.
        topk: similar positions that take part in inference, None for all as in the paper.
        reference_offsets: recent frames in the memory, as offsets from the query frame; the first frame is always in.
    """

    def __init__(
        self,
        width: float = 1.0,
        feature_dim: int = 64,
        normalize: bool = True,
        temperature: float = 0.05,
        radius: int = 12,
        learning_rate: float = 1e-3,
        halve_lr_at: list[int] | None = None,
        test_radius: int = 12,
        topk: int | None = 10,
        reference_offsets: list[int] = [1, 2, 3, 4],  # noqa: B006 - never changed; a None here would hide the default from --help
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = ReconstructionEncoder(width, feature_dim, normalize)
        self._clips_per_batch = 0

    def forward(self, lab: Tensor) -> Tensor:
        """Lab (B, 3, H, W) in [-1, 1] -> features (B, D, H / 4, W / 4)."""
        features: Tensor = self.encoder(lab)
        return features

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Mean reconstruction loss over all frames of all clips."""
        self._clips_per_batch = len(batch["frames"])
        lab = rgb_to_lab(batch["frames"])
        dropped = draw_dropped_chroma(batch["seed"])
        loss = self._reconstruction_loss(drop_chroma(lab, dropped), take_channel(lab, dropped))
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def _reconstruction_loss(self, seen: Tensor, colours: Tensor) -> Tensor:
        """Each frame from all others.

        Args:
            seen: what the encoder gets, (B, T, 3, H, W).
            colours: what the features must let copy, (B, T, 1, H, W).
        """
        features = self(seen.flatten(0, 1).contiguous(memory_format=torch.channels_last)).unflatten(0, seen.shape[:2])
        losses = []
        for t in range(seen.shape[1]):
            others = [i for i in range(seen.shape[1]) if i != t]
            reconstruction = reconstruct(
                features[:, t],
                features[:, others],
                colours[:, others],
                self.hparams["radius"],
                self.hparams["temperature"],
            )
            losses.append(reconstruction_loss(reconstruction, colours[:, t]))
        return torch.stack(losses).mean()

    def propagator(self) -> Propagator:
        """See the base class."""
        settings = PropagationSettings(
            radius=self.hparams["test_radius"],
            topk=self.hparams["topk"],
            temperature=self.hparams["temperature"],
            policy=ReferencePolicy(tuple(self.hparams["reference_offsets"])),
        )
        return Propagator(self.encoder, settings=settings)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many forms
        """Adam with a learning rate per step."""
        optimizer = torch.optim.Adam(self.encoder.parameters(), lr=self.hparams["learning_rate"])
        if self.hparams["halve_lr_at"] is None:
            schedule = cosine_schedule(optimizer, int(self.trainer.estimated_stepping_batches))
        else:
            schedule = halving_schedule(optimizer, self.hparams["halve_lr_at"], self._samples_per_step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _samples_per_step(self) -> int:
        return self._clips_per_batch * self.trainer.world_size * self.trainer.accumulate_grad_batches
