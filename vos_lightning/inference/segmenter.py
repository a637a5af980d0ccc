"""Point at objects in a video and follow them: the library's front door."""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.ids import given_objects
from vos_lightning.inference.adaptation import adapt_pairs
from vos_lightning.inference.adaptation_settings import AdapterSettings
from vos_lightning.inference.weights import load_tracker
from vos_lightning.io.frames import FrameSource, open_frames
from vos_lightning.io.masks import read_mask
from vos_lightning.io.prefetch import BackgroundReader

Frame = np.ndarray | Tensor
Mask = np.ndarray | Tensor | str | Path


class VideoSegmenter:
    """Masks for a whole video from the mask of its first frame.

    Frames stream: memory does not grow with the length of the video, unless it is adapted to.

    Args:
        weights: "default" (ships with the package), "lab" (matches colours, nothing learned), or a checkpoint or
            .safetensors file.
        device: "auto" takes a GPU where there is one.
        max_size: frames with a longer side are scaled down to it for the network, in pixels; masks keep the full size.
            None takes the limit that belongs to the weights: 640 for those that ship, none for most others.
        adapt: train a network on each video's own masks and take its masks, see `inference.adaptation.adapt`; True
            takes the preset for the device. The first mask then comes after the training, unless it is "causal".

    Raises:
        VOSError: weights that are unknown or can't be read.

    Example:
        >>> import numpy as np
        >>> video = np.zeros((3, 32, 48, 3), np.uint8)
        >>> video[:, 8:24, 8:24] = 200
        >>> mask = np.zeros((32, 48), np.uint8)
        >>> mask[8:24, 8:24] = 7
        >>> masks = list(VideoSegmenter(weights="lab").segment(video, mask))
        >>> len(masks), masks[-1].shape, np.unique(masks[-1]).tolist()
        (3, (32, 48), [0, 7])
    """

    def __init__(
        self,
        weights: str | Path = "default",
        device: str | torch.device = "auto",
        max_size: int | None = None,
        adapt: bool | AdapterSettings = False,
    ) -> None:
        if max_size is not None and (max_size < 1 or max_size != int(max_size)):
            raise VOSError(f"max_size is {max_size}; expected whole pixels, 1 or more, or None")
        if not isinstance(adapt, bool | AdapterSettings):
            raise VOSError(f"adapt is {adapt!r}; expected True, False or AdapterSettings")
        self.device = usable_device(device)
        self.max_size = max_size
        self.adapter = AdapterSettings.preset(self.device) if adapt is True else adapt or None
        self._tracker = load_tracker(weights)
        self._tracker.to(self.device)
        self._added: dict[int, np.ndarray] = {}

    def add_object(self, mask: Mask, at: int) -> None:
        """Follow more objects from a later frame on, in the next video; the tracks of the others stay.

        Args:
            mask: (H, W) ids of the new objects, 0 elsewhere: an array, a tensor, or a PNG file.
            at: index of the frame that the mask belongs to. Masks given for one frame are put over one another.

        Raises:
            MaskError: a mask that can't be used, or an index that no frame has.
        """
        self._added = _given(self._added, {at: mask})

    def segment(
        self,
        frames: str | Path | Iterable[Frame],
        mask: Mask | None = None,
        prompts: Mapping[int, Mask] | None = None,
        sequence: str | None = None,
    ) -> Iterator[np.ndarray]:
        """Follow the objects of the mask.

        Args:
            frames: a video file, a folder of frames, or RGB uint8 frames, each (H, W, 3) or a tensor (3, H, W). With
                `adapt`, small copies of all frames are kept of those that can't be gone through twice, as a generator.
            mask: integer ids of the first frame, (H, W), 0 is background: an array, a tensor, or a PNG file. 255 beside
                other ids is void and not followed; 255 alone is an object.
            prompts: masks of later frames by their index; same as `add_object`.
            sequence: name that seeds what is random in `adapt`; None takes that of the path.

        Yields:
            (H, W) uint8 ids, one per frame, the first included, in the frame's size.

        Raises:
            VOSError: a video that can't be read, a mask that doesn't fit or holds no object.
        """
        first = {} if mask is None else {0: mask}
        given = _given(_given(self._added, first), prompts or {})
        self._added = {}
        if not given:
            raise MaskError("no mask was given: pass the first frame's, or add_object for a later one")
        source = open_frames(frames) if isinstance(frames, str | Path) else frames
        if not isinstance(source, Iterable):
            raise VOSError(f"frames are {type(frames).__name__}; expected a path or an iterable of RGB frames")
        pairs = self._propagate(source, given)
        if self.adapter is None:
            return (ids for _, ids in pairs)
        again = None if iter(source) is source else map(_as_array, source, count())
        name = sequence or (Path(frames).stem if isinstance(frames, str | Path) else "")
        arrays = ((_as_array(frame, t), ids) for t, (frame, ids) in enumerate(pairs))
        return adapt_pairs(arrays, again, given, self.adapter, name, self.device)

    def _propagate(self, frames: Iterable[Frame], given: dict[int, np.ndarray]) -> Iterator[tuple[Frame, np.ndarray]]:
        """Frames with their masks."""
        propagator = self._tracker.propagator(self.max_size)
        t = -1
        if not isinstance(frames, FrameSource):
            # copied as they are read ahead: whoever makes the frames may use one buffer for all of them
            frames = (frame.clone() if isinstance(frame, Tensor) else copy(frame) for frame in frames)
        for t, frame in enumerate(BackgroundReader(frames)):
            mask = torch.from_numpy(given[t]).to(self.device) if t in given else None
            yield frame, propagator.step(_as_frame(frame, t).to(self.device), mask).cpu().numpy()
        if t < 0:
            raise VOSError("the video has no frame")
        if late := [index for index in given if index > t]:
            raise MaskError(f"a mask was given for frame {late[0]}, but the video has {t + 1} frames")


def as_mask(mask: Mask) -> np.ndarray:
    """(H, W) uint8 ids from an array, a tensor or a PNG, void set to 0.

    Raises:
        MaskError: not two-dimensional, ids outside of 0…255 or not whole, no object.
    """
    name = f"the mask {mask}" if isinstance(mask, str | Path) else "the mask"
    array = read_mask(mask) if isinstance(mask, str | Path) else np.asarray(mask)
    if array.ndim != 2:
        raise MaskError(f"{name} has shape {array.shape}; expected integer ids (H, W)")
    ids = np.unique(array)
    if not np.isin(ids, np.arange(256)).all():
        raise MaskError(f"{name} holds {ids[0]}…{ids[-1]}; expected whole ids from 0 to 255")
    array = given_objects(array.astype(np.uint8))
    if not array.any():
        raise MaskError(f"{name} holds no object: every pixel is 0")
    return array


def _given(masks: Mapping[int, np.ndarray], more: Mapping[int, Mask]) -> dict[int, np.ndarray]:
    """Masks by frame, with more of them put over those of the same frame."""
    result = dict(masks)
    for t, mask in more.items():
        if not isinstance(t, int) or t < 0:
            raise MaskError(f"a mask was given for frame {t!r}; expected the index of a frame, 0 or more")
        top = as_mask(mask)
        if t in result and result[t].shape == top.shape:
            top = np.where(top == 0, result[t], top)
        result[t] = top
    return result


def usable_device(device: str | torch.device) -> torch.device:
    """The device, once it has proved to be there; "auto" is a GPU where there is one.

    Raises:
        VOSError: it isn't there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise VOSError(f"device {str(device)!r} can't be used here: {reason}; 'auto' takes what is there") from error


def _as_frame(frame: Frame, t: int) -> Tensor:
    """A (3, H, W) uint8 tensor."""
    try:
        tensor = torch.as_tensor(frame if isinstance(frame, Tensor) else np.asarray(frame))
    except TypeError as error:
        raise VOSError(f"frame {t} is {type(frame).__name__}; expected uint8 RGB, (H, W, 3)") from error
    if tensor.dtype != torch.uint8 or tensor.dim() != 3 or 3 not in (tensor.shape[0], tensor.shape[-1]):
        raise VOSError(
            f"frame {t} is {tensor.dtype} {tuple(tensor.shape)}; expected uint8 RGB, (H, W, 3) or a tensor (3, H, W)"
        )
    channels_last = not isinstance(frame, Tensor) or tensor.shape[0] != 3
    return tensor.permute(2, 0, 1) if channels_last and tensor.shape[-1] == 3 else tensor


def _as_array(frame: Frame, t: int) -> np.ndarray:
    """An (H, W, 3) uint8 array."""
    return _as_frame(frame, t).permute(1, 2, 0).cpu().numpy()
