"""Weights by name or path -> networks ready to track. Nothing is unpickled."""

import json
import pickle
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.inference.cutout_propagation import CutoutSettings
from vos_lightning.inference.propagation import PropagationSettings, settings_of
from vos_lightning.inference.trackers import CutoutTracker, ReconstructionTracker, Tracker
from vos_lightning.io.files import atomic_path
from vos_lightning.models.cutout_tagging import CutoutTagging
from vos_lightning.models.lab_patches import LabPatches
from vos_lightning.models.reconstruction import ReconstructionEncoder

Network = TypeVar("Network", bound=nn.Module)

DEFAULT_WEIGHTS = "mast_default.safetensors"
# The baseline as it is usually run; patches of colours resemble one another more than learned features do.
LAB_SETTINGS = PropagationSettings(temperature=1 / 40, follow=False)


def load_tracker(weights: str | Path) -> Tracker:
    """Networks of `default`, of `lab` (no learning), or of a file.

    Args:
        weights: a name, or the path of a Lightning checkpoint (.ckpt) or a .safetensors file of this project.

    Raises:
        VOSError: unknown name, missing file, or weights of something else.
        CorruptFileError: the file can't be read.
    """
    if str(weights) == "lab":
        return ReconstructionTracker(LabPatches(), None, LAB_SETTINGS)
    if str(weights) == "default":
        with resources.as_file(resources.files("vos_lightning.weights") / DEFAULT_WEIGHTS) as path:
            return _build(*_read_safetensors(path), path)
    path = Path(weights)
    if not path.is_file():
        raise VOSError(f"no weights at {path}: give 'default', 'lab', or a .ckpt or .safetensors file")
    read = _read_safetensors if path.suffix == ".safetensors" else _read_checkpoint
    return _build(*read(path), path)


def save_tracker(path: str | Path, state: dict[str, Tensor], hparams: dict[str, Any]) -> None:
    """Write a float16 .safetensors file that `load_tracker` reads; it is there whole, or as it was before.

    Args:
        path: of the file to write.
        state: parameters and buffers of a MAST or CTVOS task.
        hparams: of that task.

    Raises:
        VOSError: the file can't be written.
    """
    from safetensors.torch import save

    half = {k: v.half().contiguous() if v.is_floating_point() else v.contiguous() for k, v in state.items()}
    # as bytes: safetensors' own writing would put a file in the place of a pipe or a device
    content = save(half, metadata={"hyper_parameters": json.dumps(hparams)})
    with atomic_path(path) as file:
        file.write_bytes(content)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(str(path), "pt") as file:
            hparams = json.loads((file.metadata() or {}).get("hyper_parameters", "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, hparams  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFileError(f"{path} is not a readable safetensors file: {error}") from error


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CorruptFileError(
            f"{path} is damaged, or holds more than tensors and plain values; what could run code is not read"
        ) from error
    except Exception as error:  # torch.load raises whatever its parsers raise
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptFileError(f"{path} is not a readable checkpoint: {first_line}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise VOSError(f"{path} is not a Lightning checkpoint: it has no state_dict")
    return checkpoint["state_dict"], checkpoint.get("hyper_parameters", {})


def _build(state: dict[str, Tensor], hparams: dict[str, Any], path: Path) -> Tracker:
    """Networks of whichever task the hyper-parameters are."""
    build = _build_cutout_tracker if "cutout" in hparams else _build_reconstruction_tracker
    try:
        return build(state, hparams)
    except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise VOSError(f"{path} does not hold weights of MAST or CT-VOS: {str(error).splitlines()[0]}") from error


def _build_reconstruction_tracker(state: dict[str, Tensor], hparams: dict[str, Any]) -> ReconstructionTracker:
    def build() -> ReconstructionEncoder:
        return ReconstructionEncoder(hparams["width"], hparams["feature_dim"], hparams["normalize"])

    encoder = _load(build, _with_prefix(state, "encoder."))
    momentum = _with_prefix(state, "momentum_encoder.")
    reference_encoder = _load(build, momentum) if momentum and hparams["test_momentum"] else None
    return ReconstructionTracker(encoder, reference_encoder, settings_of(hparams), hparams["test_max_size"])


def _build_cutout_tracker(state: dict[str, Tensor], hparams: dict[str, Any]) -> CutoutTracker:
    names = ("depth", "width", "output_stride", "key_dim", "value_dim", "normalize", "temperature")
    network = _load(lambda: CutoutTagging(**{name: hparams[name] for name in names}), _with_prefix(state, "network."))
    return CutoutTracker(network, CutoutSettings.of(hparams), hparams["test_max_size"])


def _load(build: Callable[[], Network], state: dict[str, Tensor]) -> Network:
    """A network with these weights, in float32; no memory is taken for it before their shapes have proved to fit."""
    with torch.device("meta"):
        network = build()
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, assign=True)
    return network


def _with_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
