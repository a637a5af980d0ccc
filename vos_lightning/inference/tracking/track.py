"""One loop over a video's frames, for whoever wants masks."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.tracking.propagator import Propagator

Frame = np.ndarray | Tensor
Ids = np.ndarray


class Track:
    """The objects of one video, frame by frame, in whichever order the frames come: reversed ones are tracked backward.

    Args:
        propagator: a fresh one.
        device: of its networks.

    Attributes:
        count: of the frames so far.
    """

    def __init__(self, propagator: Propagator, device: torch.device) -> None:
        self._propagator = propagator
        self._device = device
        self.count = 0

    @property
    def object_ids(self) -> list[int]:
        """Ids of the objects that are followed."""
        return list(self._propagator.objects.ids)

    @property
    def probabilities(self) -> dict[int, Tensor]:
        """By id, of the last frame at feature positions: (h, w) in [0, 1]."""
        followed = self._propagator
        return dict(zip(followed.objects.ids, followed.probabilities, strict=True))

    @property
    def uncertainty(self) -> dict[int, float]:
        """By id, how unsure the last mask is, in [0, 1]: 1 less the region similarity that is to be expected."""
        return dict(self._propagator.uncertainty)

    def step(self, frame: Frame, mask: np.ndarray | Tensor | None = None) -> Ids:
        """Mask of the next frame.

        Args:
            frame: RGB uint8, an array (H, W, 3) or a tensor (3, H, W).
            mask: (H, W) ids that are given for it, 0 where nothing is.

        Returns:
            (H, W) uint8 ids; all 0 as long as no mask was given.

        Raises:
            MaskError: mask and frame differ in size.
            VOSError: not a frame, or one of another size than those before.
        """
        image = as_frame(frame, self.count).to(self._device)
        ids = self._propagator.step(image, None if mask is None else torch.as_tensor(mask, device=self._device))
        self.count += 1
        return ids.cpu().numpy()

    def draw(self, frame: Frame, probabilities: Mapping[int, Tensor]) -> Ids:
        """The mask of a frame by probabilities, such as those of two tracks put together; nothing is tracked.

        Args:
            frame: see `step`.
            probabilities: by id, at feature positions, (h, w) in [0, 1], at least one; see `probabilities`. Those of a
                track with another `max_size` or other weights are interpolated.

        Returns:
            (H, W) uint8 ids: in each pixel those of the most probable object.

        Raises:
            VOSError: not a frame.
        """
        return self._propagator.draw(as_frame(frame, self.count).to(self._device), probabilities).cpu().numpy()

    def remember(self, frame: Frame, mask: np.ndarray | Tensor) -> None:
        """Look back at a frame of another time too, as a correction further on in the video; before the first step.

        Args:
            frame: see `step`.
            mask: (H, W) ids that are given for it, 0 where nothing is.

        Raises:
            VOSError: see `step`; or there was a step already.
        """
        if self.count:
            raise VOSError("frames of another time are remembered before the first step")
        self._propagator.remember(as_frame(frame, 0).to(self._device), torch.as_tensor(mask, device=self._device))


def track(
    track: Track, frames: Iterable[Frame], prompts: Mapping[int, np.ndarray | Tensor]
) -> Iterator[tuple[Frame, Ids]]:
    """Follow objects through a video.

    Args:
        track: a fresh one.
        frames: see `Track.step`.
        prompts: given masks (H, W) by frame; looked up as the frames come.

    Yields:
        Each frame with its ids, (H, W) uint8.

    Raises:
        VOSError: there is no frame.
        MaskError: a mask was given for a frame after the last one.
    """
    t = -1
    for t, frame in enumerate(frames):
        yield frame, track.step(frame, prompts.get(t))
    if t < 0:
        raise VOSError("the video has no frame")
    require_frames(prompts, t + 1)


def require_frames(prompts: Iterable[int], count: int) -> None:
    """Check that masks were given for frames that the video has.

    Raises:
        MaskError: names one that it hasn't.
    """
    if late := [index for index in prompts if index >= count]:
        raise MaskError(f"a mask was given for frame {late[0]}, but the video has {count} frames")


def as_frame(frame: Frame, t: int) -> Tensor:
    """A (3, H, W) uint8 tensor.

    Raises:
        VOSError: it is none; named by its index.
    """
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
