"""Point at objects in a video and follow them: the library's front door."""

import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.adaptation import AdapterSettings, EncoderSettings, adapt_encoder, adapt_pairs
from vos_lightning.inference.adaptation.labelled_frames import LabelledFrames
from vos_lightning.inference.packed_mask import PackedMask
from vos_lightning.inference.precision import Precision, usable_precision
from vos_lightning.inference.prompts import Mask, Prompts
from vos_lightning.inference.tracking.backward import track_backward
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.track import Frame, Track, as_frame, require_frames, track
from vos_lightning.inference.weights import load_tracker
from vos_lightning.io.frames import FrameSource, open_frames
from vos_lightning.io.live import LiveSource
from vos_lightning.io.prefetch import BackgroundReader

Pair = tuple[Frame, np.ndarray]


class VideoSegmenter:
    """Masks for a whole video from the mask of its first frame.

    Frames stream: memory does not grow with the length of the video, unless it is adapted to.

    Args:
        weights: "default" (MAST) or "ct_vos", which ship with the package, "lab" (matches colours, nothing learned), or
            a checkpoint or .safetensors file.
        device: "auto" takes a GPU where there is one.
        max_size: frames with a longer side are scaled down to it for the network, in pixels; masks keep the full size.
            None takes the limit that belongs to the weights: 640 for those that ship, none for most others.
        adapt: learn from each video's own masks. True or `EncoderSettings`: the encoder learns what to tell apart, and
            the masks are propagated again with its features; needs frames that can be gone through twice: a path, a
            list or an array. `AdapterSettings`: a U-Net learns the video (SSVOS §3.3), see
            `inference.adaptation.adapt`. The first mask comes after the training, unless that is "causal".
        tracking: how masks are read out; None takes the settings that belong to the weights.
        precision: of the network and of similarities, which are added up in float32; "auto" takes bfloat16 where the
            device multiplies it faster, float32 elsewhere. Colours, affinities and masks are float32 in either case.

    Attributes:
        precision: the dtype that it is.

    Raises:
        VOSError: weights that are unknown or can't be read, options out of range.

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
        adapt: bool | EncoderSettings | AdapterSettings = False,
        tracking: TrackingSettings | None = None,
        precision: Precision = "auto",
    ) -> None:
        if not isinstance(adapt, bool | EncoderSettings | AdapterSettings):
            raise VOSError(f"adapt is {adapt!r}; expected True, False, EncoderSettings or AdapterSettings")
        self.device = usable_device(device)
        self.adapter = EncoderSettings() if adapt is True else adapt or None
        self.precision = usable_precision(precision, self.device)
        self._loaded = load_tracker(weights)
        if isinstance(self.adapter, EncoderSettings):
            self._loaded.adaptable()  # refused here, not after a first pass
        self._tracker = self._loaded.prepared(self.device, self.precision)
        self.tracking = tracking or self._tracker.settings
        if max_size is not None:
            if max_size != int(max_size):
                raise VOSError(f"max_size is {max_size}; expected whole pixels, 1 or more, or None")
            self.tracking = replace(self.tracking, max_size=int(max_size))
        self._added = Prompts()
        self._running: weakref.ref[Segmentation] | None = None

    def tracker(self) -> Track:
        """Follow objects step by step: for frames that come live, out of order, or with masks given as you go."""
        return Track(self._tracker.propagator(self.tracking), self.device)

    def adapted(
        self, frames: LabelledFrames, settings: EncoderSettings, sequence: str = ""
    ) -> Callable[[], Track] | None:
        """As `tracker`, with an encoder that has learned from frames of the video; None if they show no object.

        Args:
            frames: what is known of it.
            settings: of the training.
            sequence: name of the video; part of the seed.

        Raises:
            VOSError: weights whose encoder can't be adapted.
        """
        encoder, temperature = self._loaded.adaptable()
        learned = adapt_encoder(encoder, frames, temperature, settings, sequence, self.device)
        if learned is None:
            return None
        adapted = self._loaded.adapted(learned).prepared(self.device, self.precision)
        return lambda: Track(adapted.propagator(self.tracking), self.device)

    def labelled_frames(self, settings: EncoderSettings) -> LabelledFrames:
        """None so far, for `adapted`."""
        return LabelledFrames(self._tracker.stride, self.tracking.max_size, settings.max_frames)

    def add_object(self, mask: Mask, at: int) -> None:
        """Follow more objects, or correct some, from a later frame on; the tracks of the others stay.

        It belongs to the video that is being segmented, from `segment` until its last mask; where there is none, to the
        next one.

        Args:
            mask: (H, W) ids of the objects, 0 elsewhere: an array, a tensor, or a file that
                `io.mask_reader.MaskReader` reads.
            at: index of the frame that the mask belongs to. Masks given for one frame are put over one another.

        Raises:
            MaskError: a mask that can't be used, an index that no frame has, or a frame that was tracked already.
        """
        running = None if self._running is None else self._running()
        if running is not None and not running.ended:
            running.add(at, mask)
        else:
            self._added.put(at, mask)

    def segment(
        self,
        frames: str | Path | Iterable[Frame],
        mask: Mask | None = None,
        prompts: Mapping[int, Mask] | None = None,
        sequence: str | None = None,
        *,
        backward: bool = False,
    ) -> "Segmentation":
        """Follow the objects of the mask.

        Args:
            frames: a video file, a folder of frames, or RGB uint8 frames, each (H, W, 3) or a tensor (3, H, W), from a
                list, a generator or an `io.live.LiveSource`: one at a time, when its turn has come. With `adapt`, small
                copies are kept of all frames that can't be gone through twice.
            mask: integer ids of the first frame, (H, W), 0 is background: an array, a tensor, or a file
                that `io.mask_reader.MaskReader` reads. 255 beside other ids is void and not followed; 255 alone is an
                object. Where `frames` is a path, masks of their shape in another size are scaled, nearest neighbour.
            prompts: masks of later frames by their index; same as `add_object`.
            sequence: name that seeds what is random in `adapt`; None takes that of the path.
            backward: follow objects backward too, from where each was given first; that is done before the first mask
                comes. Where two objects meet, those that were given before win. Needs frames that can be read in any
                order: a path, a list or an array.

        Returns:
            An iterator of (H, W) uint8 ids, one per frame, the first included, in the frame's size.

        Raises:
            VOSError: a video that can't be read, a mask that doesn't fit or holds no object.
        """
        source = open_frames(frames) if isinstance(frames, str | Path) else frames
        if not isinstance(source, Iterable):
            raise VOSError(f"frames are {type(frames).__name__}; expected a path or an iterable of RGB frames")
        given, self._added = self._added, Prompts()
        if isinstance(source, FrameSource):
            given.belong_to(source.size, source.names)
        elif isinstance(source, LiveSource):
            given.belong_to(source.size)
        for t, one in [*([] if mask is None else [(0, mask)]), *(prompts or {}).items()]:
            given.put(t, one)
        if not given.masks:
            raise MaskError("no mask was given: pass the first frame's, or add_object for a later one")
        name = sequence or (Path(frames).stem if isinstance(frames, str | Path) else "")
        if isinstance(self.adapter, EncoderSettings) and iter(source) is source:
            raise VOSError("adapt goes through the frames twice: give a path, a list or an array, or AdapterSettings")
        if backward and not isinstance(source, FrameSource | Sequence | np.ndarray | Tensor):
            raise VOSError("backward needs frames that can be read in any order: give a path, a list or an array")
        segmentation = Segmentation(self, source, given, name, backward)
        self._running = weakref.ref(segmentation)
        return segmentation


class Segmentation(Iterator[np.ndarray]):
    """The masks of one video, in the order of its frames: (H, W) uint8 ids. Made by `VideoSegmenter.segment`."""

    def __init__(
        self,
        segmenter: VideoSegmenter,
        frames: Iterable[Frame],
        prompts: Prompts,
        name: str,
        backward: bool = False,
    ) -> None:
        given, settings = prompts.masks, segmenter.adapter
        self._frames, self._backward = frames, backward
        self._prompts = prompts
        self.ended = False
        pairs = self._follow(segmenter.tracker)
        if settings is None:
            self._masks: Iterator[np.ndarray] = (ids for _, ids in pairs)
        elif isinstance(settings, EncoderSettings):
            self._masks = self._twice(pairs, segmenter, settings, name)
        else:
            again = None if iter(frames) is frames else map(_as_array, frames, count())
            arrays = ((_as_array(frame, t), ids) for t, (frame, ids) in enumerate(pairs))
            self._masks = adapt_pairs(arrays, again, given, settings, name, segmenter.device)

    def _follow(self, tracker: Callable[[], Track]) -> Iterator[Pair]:
        """Frames and their masks."""
        frames, given = self._frames, self._prompts.masks
        self._track = tracker()
        pairs = _propagate(self._track, frames, given)
        return _with_earlier(pairs, tracker(), frames, given) if self._backward else pairs

    def _twice(
        self, pairs: Iterator[Pair], segmenter: VideoSegmenter, settings: EncoderSettings, name: str
    ) -> Iterator[np.ndarray]:
        """Masks by an encoder that has learned from those of a first pass."""
        labelled, first = segmenter.labelled_frames(settings), []
        for t, (frame, ids) in enumerate(pairs):
            labelled.add(as_frame(frame, t), self._track.probabilities, t in self._prompts.masks)
            first.append(PackedMask(ids))
        tracker = segmenter.adapted(labelled, settings, name)
        yield from (one.ids() for one in first) if tracker is None else (ids for _, ids in self._follow(tracker))

    def __next__(self) -> np.ndarray:
        """The next frame's mask."""
        try:
            return next(self._masks)
        except BaseException:
            self.ended = True
            raise

    @property
    def palette(self) -> bytes:
        """Colours of the ids, 768 bytes: those of the given masks, DAVIS' where they have none."""
        return self._prompts.palette

    @property
    def uncertainty(self) -> dict[int, float]:
        """By id, how unsure the tracker was of its last mask, in [0, 1]; see `Track.uncertainty`."""
        return self._track.uncertainty

    def add(self, at: int, mask: Mask) -> None:
        """See `VideoSegmenter.add_object`."""
        if isinstance(at, int) and 0 <= at < self._track.count:
            raise MaskError(f"a mask was given for frame {at}, which was tracked already; give it before")
        self._prompts.put(at, mask)

    def close(self) -> None:
        """End it here."""
        self.ended = True
        if isinstance(self._masks, Generator):
            self._masks.close()


def _propagate(fresh: Track, frames: Iterable[Frame], given: Mapping[int, np.ndarray]) -> Iterator[Pair]:
    """Frames, those of files read ahead, with their masks."""
    # others are asked for a frame when its turn has come: they may be live, and may use one buffer for all frames
    return track(fresh, BackgroundReader(frames) if isinstance(frames, FrameSource) else frames, given)


def _with_earlier(
    pairs: Iterator[Pair], fresh: Track, frames: Iterable[Frame], given: Mapping[int, np.ndarray]
) -> Iterator[Pair]:
    """Frames and their masks, with what was followed backward where nothing was followed forward."""
    assert isinstance(frames, Sequence | FrameSource | np.ndarray | Tensor)  # as `segment` has checked
    require_frames(given, len(frames))
    earlier = {t: PackedMask(ids) for t, ids in track_backward(fresh, frames, given)}
    for t, (frame, ids) in enumerate(pairs):
        yield frame, np.where(ids == 0, earlier.pop(t).ids(), ids) if t in earlier else ids


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


def _as_array(frame: Frame, t: int) -> np.ndarray:
    """An (H, W, 3) uint8 array."""
    return as_frame(frame, t).permute(1, 2, 0).cpu().numpy()
