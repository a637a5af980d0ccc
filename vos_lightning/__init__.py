"""Self-supervised video object segmentation: learn from raw videos, follow anything you point at, score the masks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vos_lightning.inference.segmenter import VideoSegmenter
    from vos_lightning.tasks.ct_vos import CTVOS
    from vos_lightning.tasks.mast import MAST
    from vos_lightning.tasks.online_adapter import OnlineAdapter

__version__ = "0.1.0"
__all__ = ["CTVOS", "MAST", "OnlineAdapter", "VideoSegmenter", "__version__"]

# Imported on first use: `import vos_lightning` alone must not wait for torch and Lightning.
_HOMES = {
    "CTVOS": "vos_lightning.tasks.ct_vos",
    "MAST": "vos_lightning.tasks.mast",
    "OnlineAdapter": "vos_lightning.tasks.online_adapter",
    "VideoSegmenter": "vos_lightning.inference.segmenter",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
