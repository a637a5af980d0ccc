"""CT-VOS, cutout prediction and tagging, as a LightningModule."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from torch import Tensor, nn

from vos_lightning.batches import TrainingBatch
from vos_lightning.errors import VOSError
from vos_lightning.functional.colour import draw_dropped_chroma, drop_chroma, lab_to_rgb, rgb_to_lab
from vos_lightning.functional.cutout import cutout_masks, erase
from vos_lightning.functional.losses import cutout_reconstruction_loss, tag_bce_loss, tag_pull_loss, tag_push_loss
from vos_lightning.functional.random_labels import label_some
from vos_lightning.functional.tags import sample_tags
from vos_lightning.inference.adaptation import AdapterSettings
from vos_lightning.inference.primitives import from_primitives
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.trackers import CutoutTracker, ReconstructionTracker
from vos_lightning.inference.weights import load_tracker
from vos_lightning.models.cutout_tagging import CutoutTagging, MatchingSettings
from vos_lightning.tasks.base import TrackingTask
from vos_lightning.tasks.schedules import cosine_schedule

Settings = TypeVar("Settings")


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
        detach_matching: let no gradient of the tags reach the encoders of queries and keys. The cutout stays where it
            is in the frame while the content moves, so they could learn from it to match places rather than content.
    """

    loss: Literal["none", "pull", "push", "pull_push", "bce"] = "pull_push"
    weight: float = 1.0
    margin: float = 0.5
    pixels: int = 256
    detach_matching: bool = False


@dataclass(frozen=True)
class ValueSettings:
    """What is read from past frames.

    Args:
        copy: the values' own channels too, averaged over cells; the decoder adds to them, see `CutoutTagging`.
        label_share: probability that a clip's values are two-valued images instead of colours, see `label_some`.
    """

    copy: bool = False
    label_share: float = 0.0


class CTVOS(TrackingTask):
    """Learns to reconstruct a frame with a cutout from earlier frames with that cutout (CT-VOS §3, eqs. 1-7).

    Training batches hold `frames`, (B, T, 3, H, W) RGB in [0, 1] with H and W multiples of 16, of which the last is the
    current one, `seed`, (B,) int64, and perhaps `zoom_views`, (B, V, 3, H, W): the datamodule's `zoom_levels` and
    `zoom_frames` are the zoom-in module. The defaults are the paper's full model as far as the paper tells, but for
    normalised features with their temperature, and for `tracking`.

    Args:
        depth: of the ResNets, 18 or 50.
        width: multiplies the channels, 1.0 is the paper's.
        output_stride: of the features, 16 (the paper's), 8 or 4.
        key_dim: of queries and keys.
        value_dim: of values.
        matching: how the current frame is compared with past ones.
        values: what is read from these.
        cutout: the region that is lost.
        tags: how its pixels are told from the others.
        init_from: weights to start from, as `VideoSegmenter` takes them: of MAST, for the encoders of queries and keys,
            or of CT-VOS.
        learning_rate: of Adam.
        cosine: let the learning rate fall to zero along a cosine over the whole run; the paper keeps it.
        compile: compile the network with `torch.compile` for training.
        tracking: how masks are read out, see `MAST`.
        adapter: of each test sequence, see the base class.

    Raises:
        VOSError: options that don't go together, or `init_from` can't be read or doesn't fit.
    """

    task: ClassVar[str] = "CTVOS"

    def __init__(
        self,
        depth: int = 18,
        width: float = 1.0,
        output_stride: int = 16,
        key_dim: int = 128,
        value_dim: int = 256,
        matching: MatchingSettings = MatchingSettings(),  # noqa: B008 - see MAST
        values: ValueSettings = ValueSettings(),
        cutout: CutoutSettings = CutoutSettings(),
        tags: TagSettings = TagSettings(),
        init_from: str | None = None,
        learning_rate: float = 1e-4,
        cosine: bool = False,
        compile: bool = False,
        tracking: TrackingSettings = TrackingSettings(),  # noqa: B008 - see MAST
        adapter: AdapterSettings | None = None,
    ) -> None:
        super().__init__(tracking, adapter)
        self.matching, self.values = _settings(MatchingSettings, matching), _settings(ValueSettings, values)
        self.cutout, self.tags = _settings(CutoutSettings, cutout), _settings(TagSettings, tags)
        if self.cutout.shape == "none" and self.tags.loss != "none":
            raise VOSError(f"tags.loss={self.tags.loss}: tags need a cutout; set cutout.shape, or tags.loss=none")
        groups = {name: asdict(getattr(self, name)) for name in ("tracking", "matching", "values", "cutout", "tags")}
        self.save_hyperparameters(ignore=[*self.unsaved, *groups])
        self.save_hyperparameters(groups)
        shape = (depth, width, output_stride, key_dim, value_dim, self.matching, self.values.copy)
        try:
            self.network = CutoutTagging(*shape)
        except ValueError as error:
            raise VOSError(str(error)) from error
        if init_from is not None:
            _load(self.network, init_from)
        for encoder in self._matching_encoders:
            encoder.requires_grad_(self.matching.learning_rate != 0)
        self.train()
        self._compile = compile

    @property
    def _matching_encoders(self) -> tuple[nn.Module, nn.Module]:
        return self.network.query_encoder, self.network.key_encoder

    def train(self, mode: bool = True) -> Self:
        """As every module's, but frozen encoders keep their statistics."""
        super().train(mode)
        if self.matching.learning_rate == 0:
            for encoder in self._matching_encoders:
                encoder.eval()
        return self

    def forward(self, batch: TrainingBatch, label_share: float = 0.0) -> dict[str, Tensor]:
        """Reconstruct the current frames of a training batch.

        Args:
            batch: see the class.
            label_share: see `ValueSettings`.

        Returns:
            `reconstruction` and `target`, (B, 3, H, W) Lab in [-1, 1]; `tags` (B, 1, H, W); `cutout` (B, H, W) bool.
        """
        current = batch["frames"].shape[1] - 1
        views = [batch["zoom_views"]] if "zoom_views" in batch else []
        frames = rgb_to_lab(torch.cat([batch["frames"], *views], dim=1))
        past = [i for i in range(frames.shape[1]) if i != current]
        cutouts = self._cutouts(batch["seed"], frames)
        values = erase(label_some(frames, batch["seed"], label_share), cutouts)
        seen = drop_chroma(frames, draw_dropped_chroma(batch["seed"])) if self.matching.bottleneck else frames
        detach = self.tags.detach_matching
        reconstruction, tags = self.network(seen[:, current], seen[:, past], values[:, past], detach)
        return {"reconstruction": reconstruction, "target": values[:, current], "tags": tags, "cutout": cutouts}

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Reconstruction and tagging loss (CT-VOS eq. 1)."""
        terms = self._terms(self(batch, self.values.label_share), batch["seed"])
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
        rate, own = self.hparams["learning_rate"], self.matching.learning_rate
        encoders = nn.ModuleList(self._matching_encoders)  # whose parameters are each there once
        matching = [p for p in encoders.parameters() if p.requires_grad]
        rest = [*self.network.value_encoder.parameters(), *self.network.decoder.parameters()]
        groups: list[dict[str, Any]] = [
            {"params": rest},
            *([{"params": matching, "lr": rate if own is None else own}] if matching else []),
        ]
        optimizer = torch.optim.Adam(groups, lr=rate)
        if not self.hparams["cosine"]:
            return optimizer
        schedule = cosine_schedule(optimizer, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _settings(kind: type[Settings], values: Settings | Mapping[str, Any]) -> Settings:
    """As they are, or from a checkpoint's mapping."""
    return values if isinstance(values, kind) else from_primitives(kind, values)


def _load(network: CutoutTagging, weights: str) -> None:
    """Start from weights of CT-VOS, or give the encoders of queries and keys those of MAST."""
    tracker = load_tracker(weights)
    try:
        if isinstance(tracker, CutoutTracker):
            network.load_state_dict(tracker.network.state_dict())
        elif isinstance(tracker, ReconstructionTracker):
            for encoder in (network.query_encoder, network.key_encoder):
                encoder.load_state_dict(tracker.encoder.state_dict())
    except RuntimeError as error:
        raise VOSError(
            f"init_from={weights} doesn't fit: give the sizes that it was trained with; for weights of MAST "
            "matching.encoder=mast, their width as matching.width and their feature_dim as key_dim"
        ) from error
