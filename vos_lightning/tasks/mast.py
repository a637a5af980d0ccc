"""The MAST-style reconstruction model of SSVOS as a LightningModule."""

from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vos_lightning.batches import TrainingBatch
from vos_lightning.errors import VOSError
from vos_lightning.functional.colour import draw_dropped_chroma, drop_chroma, lab_to_rgb, rgb_to_lab, take_channel
from vos_lightning.functional.losses import reconstruction_loss
from vos_lightning.inference.adaptation import AdapterSettings
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.trackers import ReconstructionTracker
from vos_lightning.inference.weights import load_tracker
from vos_lightning.models.momentum import momentum_copy, relative_distance, share_buffers, update_momentum_
from vos_lightning.models.reconstruction import ReconstructionEncoder, reconstruct
from vos_lightning.tasks.base import TrackingTask
from vos_lightning.tasks.schedules import cosine_schedule, halving_schedule


class MAST(TrackingTask):
    """Learns features by reconstructing the colours of a frame from those of other frames (SSVOS §3.1, eqs. 1-3).

    Training batches hold `frames`, (B, T, 3, H, W) RGB in [0, 1] with H and W multiples of 4, and `seed`, (B,) int64.
    Stage 1: each frame of a clip is reconstructed from the others, so that every encoded frame serves as query and as
    reference. Stage 2, with `momentum` (§3.2, eqs. 5-8): the last frame of a clip is reconstructed from all before it,
    the first among them, which a slowly following copy of the encoder has encoded.

    Args:
        width: multiplies the encoder's channels, 1.0 is the paper's.
        feature_dim: D.
        normalize: scale feature vectors to length 1; the papers use raw dot products.
        temperature: divides the similarities, in training and inference; 1.0 with raw dot products.
        radius: of the window in training, in feature positions (1/4 of the pixels); 12 in the paper at 384×384.
        learning_rate: of Adam.
        momentum: m of eq. 8, in [0, 1), 0.999 in the paper; None is stage 1.
        init_from: weights to start from, as `VideoSegmenter` takes them: the checkpoint of stage 1 for stage 2.
        compile: compile the encoders with `torch.compile` for training.
        halve_lr_at: numbers of samples after which the learning rate is halved, as in MAST; None lets it fall to zero
            along a cosine over the whole run.
        tracking: how masks are read out in validation, test, prediction and by `VideoSegmenter`.
        adapter: of each test sequence, see the base class.

    Raises:
        VOSError: `init_from` can't be read or doesn't fit, or `width`, `temperature` or `momentum` is out of range.
    """

    task: ClassVar[str] = "MAST"

    def __init__(
        self,
        width: float = 1.0,
        feature_dim: int = 64,
        normalize: bool = True,
        temperature: float = 0.05,
        radius: int = 12,
        learning_rate: float = 1e-3,
        momentum: float | None = None,
        init_from: str | None = None,
        compile: bool = False,
        halve_lr_at: list[int] | None = None,
        tracking: TrackingSettings = TrackingSettings(),  # noqa: B008 - frozen; a None would hide it from --help
        adapter: AdapterSettings | None = None,
    ) -> None:
        super().__init__(tracking, adapter)
        if width <= 0 or temperature <= 0:
            raise VOSError(f"width is {width}, temperature {temperature}; expected both to be above 0")
        if momentum is not None and not 0 <= momentum < 1:
            raise VOSError(f"momentum is {momentum}; expected at least 0 and less than 1, or null for stage 1")
        # Where the weights came from is no part of the model: its checkpoints must load where that file is not.
        self.save_hyperparameters(ignore=[*self.unsaved, "tracking"])
        self.save_hyperparameters({"tracking": asdict(self.tracking)})
        self.encoder = ReconstructionEncoder(width, feature_dim, normalize)
        if init_from is not None:
            _load(self.encoder, init_from)
        self.momentum_encoder = None if momentum is None else momentum_copy(self.encoder)
        self._compile = compile
        self._clips_per_batch = 0

    @property
    def _reference_encoder(self) -> ReconstructionEncoder:
        return self.encoder if self.momentum_encoder is None else self.momentum_encoder

    def forward(self, lab: Tensor) -> Tensor:
        """Lab (B, 3, H, W) in [-1, 1] -> features (B, D, H / 4, W / 4)."""
        features: Tensor = self.encoder(lab)
        return features

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Mean reconstruction loss over all frames of all clips."""
        self._clips_per_batch, length = batch["frames"].shape[:2]
        if length < 2:
            raise VOSError(
                f"clips of {length} frame: a frame is reconstructed from others; set clip_length to 2 or more"
            )
        lab = rgb_to_lab(batch["frames"])
        dropped = draw_dropped_chroma(batch["seed"])
        criterion = self._pairwise_loss if self.momentum_encoder is None else self._memory_loss
        loss = criterion(drop_chroma(lab, dropped), take_channel(lab, dropped))
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def _pairwise_loss(self, seen: Tensor, colours: Tensor) -> Tensor:
        """Each frame from all others.

        Args:
            seen: what the encoder gets, (B, T, 3, H, W).
            colours: what the features must let copy, (B, T, 1, H, W).
        """
        # by frames, not by clips: what a frame's features and their gradients are cut from stays in one piece
        features = _encode(self.encoder, seen.transpose(0, 1)).flatten(0, 1).split(len(seen))
        losses = []
        for t in range(seen.shape[1]):
            others = [i for i in range(seen.shape[1]) if i != t]
            keys = torch.stack([features[i] for i in others], dim=1)
            reconstruction = self._reconstruct(features[t], keys, colours[:, others])
            losses.append(reconstruction_loss(reconstruction, colours[:, t]))
        return torch.stack(losses).mean()

    def _memory_loss(self, seen: Tensor, colours: Tensor) -> Tensor:
        """The last frame from all before it; arguments as for `_pairwise_loss`."""
        query = _encode(self.encoder, seen[:, -1:])[:, 0]
        with torch.no_grad():
            keys = _encode(self._reference_encoder, seen[:, :-1])
        return reconstruction_loss(self._reconstruct(query, keys, colours[:, :-1]), colours[:, -1])

    def _reconstruct(self, query: Tensor, keys: Tensor, colours: Tensor) -> Tensor:
        return reconstruct(query, keys, colours, self.hparams["radius"], self.hparams["temperature"])

    @torch.no_grad()
    def pictures(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """What the model makes of the first clip of a training batch.

        Returns:
            The last `frame` and its `reconstruction` from the ones before it, RGB uint8 (3, H, W).
        """
        lab = rgb_to_lab(batch["frames"][:1])
        seen = drop_chroma(lab, draw_dropped_chroma(batch["seed"][:1]))
        query = _encode(self.encoder, seen[:, -1:])[:, 0]
        keys = _encode(self._reference_encoder, seen[:, :-1])
        reconstruction = self._reconstruct(query, keys, lab[:, :-1])
        pictures = {"frame": lab[0, -1], "reconstruction": reconstruction[0]}
        return {name: (lab_to_rgb(picture) * 255).round().byte() for name, picture in pictures.items()}

    def tracker(self) -> ReconstructionTracker:
        """See the base class."""
        return ReconstructionTracker(self.encoder, self.momentum_encoder, self.hparams["temperature"], self.tracking)

    def train(self, mode: bool = True) -> Self:
        """As every module's, but the momentum encoder's statistics follow eq. 8 and never those of a batch."""
        super().train(mode)
        if self.momentum_encoder is not None:
            self.momentum_encoder.eval()
        return self

    def setup(self, stage: str) -> None:
        """Compile in place, which leaves the names in checkpoints as they are."""
        if self._compile and stage == "fit":
            self.encoder.compile()
            if self.momentum_encoder is not None:
                self.momentum_encoder.compile()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Lightning's
        """Let the momentum encoder follow, once per step of the optimizer however many batches that takes."""
        super().optimizer_step(*args, **kwargs)
        if self.momentum_encoder is not None:
            share_buffers(self.encoder)
            update_momentum_(self.momentum_encoder, self.encoder, self.hparams["momentum"])
            self.log("train/momentum_distance", relative_distance(self.momentum_encoder, self.encoder))

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many forms
        """Adam with a learning rate per step."""
        optimizer = torch.optim.Adam(self.encoder.parameters(), lr=self.hparams["learning_rate"])
        if self.hparams["halve_lr_at"] is None:
            schedule = cosine_schedule(optimizer, self.trainer.estimated_stepping_batches)
        else:
            schedule = halving_schedule(optimizer, self.hparams["halve_lr_at"], self._samples_per_step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _samples_per_step(self) -> int:
        return self._clips_per_batch * self.trainer.world_size * self.trainer.accumulate_grad_batches


def _encode(encoder: nn.Module, frames: Tensor) -> Tensor:
    """(B, T, 3, H, W) -> features (B, T, D, H / 4, W / 4)."""
    images = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    features: Tensor = encoder(images).unflatten(0, frames.shape[:2])
    return features


def _load(encoder: ReconstructionEncoder, weights: str) -> None:
    tracker = load_tracker(weights)
    if not isinstance(tracker, ReconstructionTracker) or not isinstance(tracker.encoder, ReconstructionEncoder):
        raise VOSError(f"init_from={weights} holds no reconstruction encoder; give a checkpoint of MAST")
    try:
        encoder.load_state_dict(tracker.encoder.state_dict())
    except RuntimeError as error:
        raise VOSError(
            f"init_from={weights} doesn't fit: give the width, feature_dim and normalize that it was trained with"
        ) from error
