"""What passes between data, tasks, metrics and callbacks: the keys of batches and items, with shapes.

B clips, T frames, H×W pixels. Frames are RGB, ids of masks 0 (background) to 255.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NotRequired, Protocol, TypedDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class SkippedClip(NamedTuple):
    """A clip that can't be decoded: it is left out of its batch and reported by the datamodule."""

    sequence: str
    reason: str


class ClipItem(TypedDict):
    """One training clip, as decoded."""

    frames: Tensor
    """uint8 (T, 3, size, size)."""
    sequence: str
    """Name of the video."""
    seed: int
    """Of all that is drawn later for this clip."""


class ClipBatch(TypedDict):
    """Training clips, as a loader gives them."""

    frames: Tensor
    """uint8 (B, T, 3, size, size)."""
    sequence: list[str]
    """B names."""
    seed: Tensor
    """int64 (B,), on the CPU."""
    skipped: list[SkippedClip]
    """Clips of the batch that can't be decoded; they aren't among the B."""


class TrainingBatch(TypedDict):
    """Training clips, as a task gets them: on its device, augmented."""

    frames: Tensor
    """float32 (B, T, 3, H, W) in [0, 1]."""
    sequence: list[str]
    """B names."""
    seed: Tensor
    """int64 (B,), on the CPU; for draws that belong to a clip."""
    zoom_views: NotRequired[Tensor]
    """float32 (B, V, 3, H, W), see `transforms.zoom`; only where zoom levels are set."""
    zoom_places: NotRequired[Tensor]
    """int64 (B, N), on the CPU: the frames zoomed into."""


class Frames(Protocol):
    """Frames of one video, read when asked for, uint8 (H, W, 3) each."""

    @property
    def names(self) -> list[str]:
        """One per frame, as mask files are called, without suffix."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""

    def __len__(self) -> int:
        """Number of frames."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """All frames in order."""

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        """One frame."""


class Masks(Protocol):
    """Masks of one video, read when asked for."""

    def __len__(self) -> int:
        """Number of frames."""

    def __iter__(self) -> Iterator[NDArray[np.uint8] | None]:
        """Those of all frames, in order."""

    def __getitem__(self, index: int, /) -> NDArray[np.uint8] | None:
        """Ids (H, W) of one frame; None where it has no mask."""


class EvaluationItem(TypedDict):
    """One sequence to track, whole: loaders of them have ``batch_size=None``."""

    sequence: str
    """Its name."""
    frames: Frames
    prompts: dict[int, NDArray[np.uint8]]
    """Ids (H, W) given to the tracker, by frame; the first needn't be on frame 0: frames before it have no masks."""
    targets: Masks | None
    """Ground truth, if there is one."""
    object_ids: list[int]
    """Of the first prompt."""
    palette: bytes | None
    """Of the dataset's masks."""
    required: Sequence[int] | None
    """Frames whose masks are evaluated; None is all."""
    categories: Mapping[int, str] | None
    """Of the objects, by id."""


class Prediction(TypedDict):
    """Masks of one sequence, as a task predicts them."""

    sequence: str
    names: list[str]
    """Of the frames that are evaluated, T in all."""
    masks: Tensor
    """uint8 (T, H, W)."""
    palette: bytes | None


class AdapterBatch(TypedDict):
    """Frames of one video with masks to adapt to."""

    frames: Tensor
    """uint8 (B, 3, H, W)."""
    labels: Tensor
    """int64 (B, H, W): 0 is background, objects count from 1 in order of appearance."""
    t: Tensor
    """int64 (B,): frame, counted from the first mask."""
    num_classes: Tensor
    """int64 (B,): background and objects that had appeared by then."""


class AdapterItem(TypedDict):
    """One video with its propagated masks, whole."""

    sequence: str
    frames: Frames
    masks: Masks
    """Propagated, one per frame."""
    targets: Masks | None
    object_ids: list[int]
    """In order of appearance."""
    palette: bytes | None
