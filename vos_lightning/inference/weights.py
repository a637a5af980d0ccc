"""Weights by name or path -> networks ready to track. Nothing is unpickled, and what a file says is checked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.inference.primitives import from_primitives
from vos_lightning.inference.tracking.settings import PLAIN, TrackingSettings
from vos_lightning.inference.tracking.trackers import CutoutTracker, ReconstructionTracker, Tracker
from vos_lightning.io.checkpoints import read_checkpoint
from vos_lightning.io.files import atomic_path
from vos_lightning.models.cutout_tagging import CutoutTagging, MatchingSettings
from vos_lightning.models.lab_patches import LabPatches
from vos_lightning.models.reconstruction import ReconstructionEncoder

Network = TypeVar("Network", bound=nn.Module)
HParams = dict[str, Any]

SHIPPED = {"default": "mast_default.safetensors", "ct_vos": "ct_vos.safetensors"}
# Of weights: similarities divided by less leave the range of float32.
MIN_TEMPERATURE = 1e-4
# Where a checkpoint says what it holds, beside Lightning's own entries.
TASK_KEY = "vos_lightning"
# The baseline as it is usually run; patches of colours resemble one another more than learned features do.
LAB_TEMPERATURE = 1 / 40
# Names of version 0.1.0, which had the options of tracking among those of the task.
_RENAMED = {
    "test_radius": "radius",
    "topk": "topk",
    "reference_offsets": "offsets",
    "given_radius": "given_radius",
    "colour_weight": "colour_weight",
    "follow": "follow",
    "mutual_weight": "mutual_weight",
    "test_momentum": "momentum_encoder",
    "test_max_size": "max_size",
}
_GROUPED = {
    "matching": {"normalize": "normalize", "temperature": "temperature"},
    "values": {"label_share": "label_share"},
    "cutout": {"cutout": "shape", "cutout_side": "side"},
    "tags": {"tag_loss": "loss", "tag_weight": "weight", "tag_margin": "margin", "tag_pixels": "pixels"},
}


def load_tracker(weights: str | Path) -> Tracker:
    """Networks of weights that ship, of `lab` (no learning), or of a file.

    Args:
        weights: a name, or the path of a Lightning checkpoint (.ckpt) or a .safetensors file of this project.

    Raises:
        VOSError: unknown name, missing file, weights of something else, or such as aren't finite.
        CorruptFileError: the file can't be read.
    """
    if str(weights) == "lab":
        return ReconstructionTracker(LabPatches(), None, LAB_TEMPERATURE, PLAIN)
    if str(weights) in SHIPPED:
        with resources.as_file(resources.files("vos_lightning.weights") / SHIPPED[str(weights)]) as path:
            return _build(*_read_safetensors(path), path)
    path = Path(weights)
    if not path.is_file():
        names = ", ".join(f"'{name}'" for name in (*SHIPPED, "lab"))
        raise VOSError(f"no weights at {path}: give {names}, or a .ckpt or .safetensors file")
    read = _read_safetensors if path.suffix == ".safetensors" else _read_checkpoint
    return _build(*read(path), path)


def save_tracker(path: str | Path, state: dict[str, Tensor], hparams: HParams, task: str) -> None:
    """Write a float16 .safetensors file that `load_tracker` reads; it is there whole, or as it was before.

    Args:
        path: of the file to write.
        state: parameters and buffers of a MAST or CTVOS task.
        hparams: of that task.
        task: "MAST" or "CTVOS".

    Raises:
        VOSError: the file can't be written.
    """
    from safetensors.torch import save

    # copies, for networks may share what they hold, and a file may not
    half = {
        name: value.to(torch.float16 if value.is_floating_point() else value.dtype, copy=True).contiguous()
        for name, value in state.items()
    }
    # as bytes: safetensors' own writing would put a file in the place of a pipe or a device
    content = save(half, metadata={"task": task, "hyper_parameters": json.dumps(hparams)})
    with atomic_path(path) as file:
        file.write_bytes(content)


def upgraded(hparams: Mapping[str, Any], task: str | None) -> tuple[HParams, str]:
    """Hyper-parameters as they are named today, and the task that they are of.

    Args:
        hparams: of a file of this version or of 0.1.0.
        task: that the file says; version 0.1.0 didn't.
    """
    if task is not None:
        return dict(hparams), task
    task = "CTVOS" if "cutout" in hparams else "MAST"
    # CT-VOS read plain features then
    plain = {"colour_weight": 0.0, "mutual_weight": 0.0} if task == "CTVOS" else {}
    new = {"tracking": plain | {name: hparams[old] for old, name in _RENAMED.items() if old in hparams}}
    groups = _GROUPED if task == "CTVOS" else {}
    new |= {group: {name: hparams[old] for old, name in names.items()} for group, names in groups.items()}
    old_names = {*_RENAMED, *(old for names in groups.values() for old in names)}
    return {name: value for name, value in hparams.items() if name not in old_names} | new, task


def require_finite(state: Mapping[str, Tensor]) -> None:
    """Check that no parameter or buffer holds a NaN or an infinity.

    Raises:
        VOSError: names one that does.
    """
    for name, value in state.items():
        if not value.isfinite().all():
            raise VOSError(f"weights that aren't finite numbers, {name} among them: the training diverged")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], HParams, str | None]:
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            hparams = json.loads(metadata.get("hyper_parameters", "{}"))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} is not a readable safetensors file: {error}") from error
    return state, hparams, metadata.get("task")


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], HParams, str | None]:
    checkpoint = read_checkpoint(path)
    return checkpoint["state_dict"], checkpoint.get("hyper_parameters", {}), written_task(checkpoint)


def written_task(checkpoint: HParams) -> str | None:
    """The task that a checkpoint says it is of; those of version 0.1.0 don't."""
    about = checkpoint.get(TASK_KEY)
    return about.get("task") if isinstance(about, Mapping) else None


@dataclass(frozen=True)
class _Reconstruction:
    """What is needed of the hyper-parameters of `MAST`."""

    width: float
    feature_dim: int
    normalize: bool
    temperature: float
    tracking: TrackingSettings

    def build(self, state: dict[str, Tensor]) -> ReconstructionTracker:
        def network() -> ReconstructionEncoder:
            return ReconstructionEncoder(self.width, self.feature_dim, self.normalize)

        encoder = _load(network, _with_prefix(state, "encoder."))
        momentum = _with_prefix(state, "momentum_encoder.")
        reference_encoder = _load(network, momentum) if momentum else None
        return ReconstructionTracker(encoder, reference_encoder, self.temperature, self.tracking)


@dataclass(frozen=True)
class _Values:
    """Of `ValueSettings`."""

    copy: bool = False


@dataclass(frozen=True)
class _Cutout:
    """What is needed of the hyper-parameters of `CTVOS`."""

    depth: int
    width: float
    output_stride: int
    key_dim: int
    value_dim: int
    matching: MatchingSettings
    values: _Values
    tracking: TrackingSettings

    @property
    def temperature(self) -> float:
        return self.matching.temperature

    def build(self, state: dict[str, Tensor]) -> CutoutTracker:
        shape = (self.depth, self.width, self.output_stride, self.key_dim, self.value_dim)
        network = _load(lambda: CutoutTagging(*shape, self.matching, self.values.copy), _with_prefix(state, "network."))
        return CutoutTracker(network, self.tracking)


_KINDS: dict[str, type[_Reconstruction | _Cutout]] = {"MAST": _Reconstruction, "CTVOS": _Cutout}


def _build(state: object, hparams: object, task: str | None, path: Path) -> Tracker:
    """Networks of whichever task the file is of."""
    try:
        if not isinstance(hparams, Mapping):
            raise VOSError(f"hyper_parameters are {type(hparams).__name__}")
        tensors = dense(state)
        _check_variances(tensors)
        hparams, task = upgraded(hparams, task)
        if task not in _KINDS:
            raise VOSError(f"they are of {task!r:.60}")
        settings = from_primitives(_KINDS[task], hparams)
        if not settings.temperature >= MIN_TEMPERATURE:
            raise VOSError(f"temperature is {settings.temperature}; expected {MIN_TEMPERATURE} or more")
        tracker = settings.build(tensors)
        require_finite({name: value for name, value in tensors.items() if value.is_floating_point()})
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError, MemoryError, VOSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise VOSError(f"{path} does not hold weights of MAST or CT-VOS that can be used: {reason}") from error
    return tracker


def _check_variances(state: Mapping[str, Tensor]) -> None:
    """Check the statistics of normalisations, whose roots are taken.

    Raises:
        VOSError: names one that is negative.
    """
    for name, value in state.items():
        if name.endswith("running_var") and (value < 0).any():
            raise VOSError(f"{name} holds a negative variance")


def dense(state: object) -> dict[str, Tensor]:
    """The tensors of a file, once they have proved to be plain numbers in memory.

    Raises:
        VOSError: names one that isn't.
    """
    if not isinstance(state, Mapping):
        raise VOSError(f"state_dict is {type(state).__name__}")
    for name, value in state.items():
        plain = isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
        if not plain or value.is_complex() or value.is_quantized or value.is_meta:
            raise VOSError(f"{name!r:.60} is no dense tensor of real numbers")
    return dict(state)


def _load(build: Callable[[], Network], state: dict[str, Tensor]) -> Network:
    """A network with these weights, in float32; no memory is taken for it before their shapes have proved to fit."""
    with torch.device("meta"):
        network = build()
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, assign=True)
    return network


def _with_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
