"""CT-VOS, cutout prediction and tagging, as a LightningModule."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from vos_lightning.batches import TrainingBatch
from vos_lightning.errors import VOSError
from vos_lightning.functional.colour import lab_to_rgb, rgb_to_lab
from vos_lightning.functional.cutout import cutout_masks, erase
from vos_lightning.functional.losses import cutout_reconstruction_loss, tag_bce_loss, tag_pull_loss, tag_push_loss
from vos_lightning.functional.random_labels import label_some
from vos_lightning.functional.tags import sample_tags
from vos_lightning.inference.adaptation import AdapterSettings
from vos_lightning.inference.primitives import from_primitives
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.trackers import CutoutTracker
from vos_lightning.models.cutout_tagging import CutoutTagging
from vos_lightning.tasks.base import TrackingTask
from vos_lightning.tasks.schedules import cosine_schedule


@dataclass(frozen=True)
class CutoutSettings:
    """The region that is lost, the same in all frames of a clip (CT-VOS §3.1).

    Args:
        shape: of the region; "none" is plain reconstruction.
        side: of a square one, as a share of the short side; other shapes have the same area.
    """

    shape: Literal["none", "square", "rectangle", "circle", "triangle"] = "square"
    side: float = 0.5


@dataclass(frozen=True)
class TagSettings:
    """How tags are learned (CT-VOS §3.2).

    Args:
        loss: "pull_push" is the paper's; "pull" and "push" are its parts (Table 5), "bce" the rival (Table 6).
        weight: λ.
        margin: G.
        pixels: M, of each kind.
    """

    loss: Literal["none", "pull", "push", "pull_push", "bce"] = "pull_push"
    weight: float = 1.0
    margin: float = 0.5
    pixels: int = 256


class CTVOS(TrackingTask):
    """Learns to reconstruct a frame with a cutout from earlier frames with that cutout (CT-VOS §3, eqs. 1-7).

    Training batches hold `frames`, (B, T, 3, H, W) RGB in [0, 1] with H and W multiples of 16, of which the last is the
    current one, `seed`, (B,) int64, and perhaps `zoom_views`, (B, V, 3, H, W): the datamodule's `zoom_levels` and
    `zoom_frames` are the zoom-in module. The defaults are the paper's full model as far as the paper tells, but for
    normalised features with their temperature, and for `tracking`.

    Args:
        depth: of the three ResNets, 18 or 50.
        width: multiplies the channels, 1.0 is the paper's.
        output_stride: of the features, 16 (the paper's), 8 or 4.
        key_dim: of queries and keys.
        value_dim: of values.
        normalize: scale queries and keys to length 1; the paper has raw dot products.
        temperature: divides the similarities, in training and inference; 1.0 with raw dot products.
        cutout: the region that is lost.
        tags: how its pixels are told from the others.
        label_share: probability that a clip's values are two-valued images instead of colours, see `label_some`;
            0 is the paper's.
        learning_rate: of Adam.
        cosine: let the learning rate fall to zero along a cosine over the whole run; the paper keeps it.
        compile: compile the network with `torch.compile` for training.
        tracking: how masks are read out, see `MAST`.
        adapter: of each test sequence, see the base class.
    """

    task: ClassVar[str] = "CTVOS"

    def __init__(
        self,
        depth: int = 18,
        width: float = 1.0,
        output_stride: int = 16,
        key_dim: int = 128,
        value_dim: int = 256,
        normalize: bool = True,
        temperature: float = 0.05,
        cutout: CutoutSettings = CutoutSettings(),
        tags: TagSettings = TagSettings(),
        label_share: float = 0.0,
        learning_rate: float = 1e-4,
        cosine: bool = False,
        compile: bool = False,
        tracking: TrackingSettings = TrackingSettings(),  # noqa: B008 - see MAST
        adapter: AdapterSettings | None = None,
    ) -> None:
        super().__init__(tracking, adapter)
        self.cutout = cutout if isinstance(cutout, CutoutSettings) else from_primitives(CutoutSettings, cutout)
        self.tags = tags if isinstance(tags, TagSettings) else from_primitives(TagSettings, tags)
        if self.cutout.shape == "none" and self.tags.loss != "none":
            raise VOSError(f"tags.loss={self.tags.loss}: tags need a cutout; set cutout.shape, or tags.loss=none")
        groups = {"tracking": asdict(self.tracking), "cutout": asdict(self.cutout), "tags": asdict(self.tags)}
        self.save_hyperparameters(ignore=[*self.unsaved, *groups])
        self.save_hyperparameters(groups)
        self.network = CutoutTagging(depth, width, output_stride, key_dim, value_dim, normalize, temperature)
        self._compile = compile

    def forward(self, batch: TrainingBatch, label_share: float = 0.0) -> dict[str, Tensor]:
        """Reconstruct the current frames of a training batch.

        Args:
            batch: see the class.
            label_share: see the class.

        Returns:
            `reconstruction` and `target`, (B, 3, H, W) Lab in [-1, 1]; `tags` (B, 1, H, W); `cutout` (B, H, W) bool.
        """
        current = batch["frames"].shape[1] - 1
        views = [batch["zoom_views"]] if "zoom_views" in batch else []
        frames = rgb_to_lab(torch.cat([batch["frames"], *views], dim=1))
        past = [i for i in range(frames.shape[1]) if i != current]
        cutouts = self._cutouts(batch["seed"], frames)
        values = erase(label_some(frames, batch["seed"], label_share), cutouts)
        reconstruction, tags = self.network(frames[:, current], frames[:, past], values[:, past])
        return {"reconstruction": reconstruction, "target": values[:, current], "tags": tags, "cutout": cutouts}

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Reconstruction and tagging loss (CT-VOS eq. 1)."""
        terms = self._terms(self(batch, self.hparams["label_share"]), batch["seed"])
        loss = torch.stack(list(terms.values())).sum()
        self.log("train/loss", loss, prog_bar=True)
        self.log_dict({f"train/{name}": term for name, term in terms.items()})
        return loss

    def _cutouts(self, seeds: Tensor, frames: Tensor) -> Tensor:
        """(B, H, W) bool."""
        size = (frames.shape[-2], frames.shape[-1])
        if self.cutout.shape == "none":
            return torch.zeros(len(seeds), *size, dtype=torch.bool, device=frames.device)
        return cutout_masks(seeds, size, self.cutout.shape, self.cutout.side, frames.device)

    def _terms(self, output: dict[str, Tensor], seeds: Tensor) -> dict[str, Tensor]:
        """What the loss adds up, by name."""
        terms = {"reconstruction": cutout_reconstruction_loss(output["reconstruction"], output["target"])}
        kind, weight = self.tags.loss, self.tags.weight
        if kind == "none":
            return terms
        inside, outside = sample_tags(output["tags"], output["cutout"], seeds, self.tags.pixels)
        if kind in ("pull", "pull_push"):
            terms["tag_pull"] = weight * tag_pull_loss(inside)
        if kind in ("push", "pull_push"):
            terms["tag_push"] = weight * tag_push_loss(inside, outside, self.tags.margin)
        if kind == "bce":
            terms["tag_bce"] = weight * tag_bce_loss(inside, outside)
        return terms

    def pictures(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """The first clip's current frame with the cutout, its reconstruction and its tags, RGB uint8 (3, H, W)."""
        output = {name: value[:1] for name, value in self(batch).items()}
        tags = output["tags"][0].expand(3, -1, -1)
        images = {name: lab_to_rgb(output[name].clamp(-1, 1))[0] for name in ("target", "reconstruction")}
        pictures = {"input": images["target"], "reconstruction": images["reconstruction"], "tags": tags}
        return {name: (picture * 255).round().to(torch.uint8) for name, picture in pictures.items()}

    def setup(self, stage: str) -> None:
        """Compile in place, which leaves the names in checkpoints as they are."""
        if self._compile and stage == "fit":
            self.network.compile()

    def tracker(self) -> CutoutTracker:
        """See the base class."""
        return CutoutTracker(self.network, self.tracking)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - one of Lightning's many forms
        """Adam."""
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.hparams["learning_rate"])
        if not self.hparams["cosine"]:
            return optimizer
        schedule = cosine_schedule(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
