"""Self-supervised video object segmentation: learn from raw videos, follow anything you point at, score the masks."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.inference.segmenter import VideoSegmenter
    from vos_lightning.tasks.ct_vos import CTVOS
    from vos_lightning.tasks.mast import MAST
    from vos_lightning.tasks.online_adapter import OnlineAdapter

__version__ = "0.1.0"
__all__ = ["CTVOS", "MAST", "OnlineAdapter", "VideoSegmenter", "__version__"]

# Imported on first use: `import vos_lightning` alone must not wait for torch and Lightning.
__getattr__, __dir__ = lazy_names(
    __name__,
    CTVOS="tasks.ct_vos",
    MAST="tasks.mast",
    OnlineAdapter="tasks.online_adapter",
    VideoSegmenter="inference.segmenter",
)
