"""Frames and masks between the video's size and the network's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.errors import MaskError, VOSError


class NetworkFrames:
    """Scales and pads the frames of one video for a network, and takes its output back to the frame's size.

    Args:
        stride: of the network: its input is padded to multiples of it.
        max_size: input with a longer side is scaled down to it, in pixels.
    """

    def __init__(self, stride: int, max_size: int | None = None) -> None:
        self.stride = stride
        self.max_size = max_size
        self._size: tuple[int, ...] | None = None

    def check(self, t: int, frame: Tensor, mask: Tensor | None) -> None:
        """Refuse a frame of another size than those before, or a mask of another size than the frame.

        Args:
            t: the frame's index.
            frame: (3, H, W).
            mask: (H, W).

        Raises:
            VOSError: the frame differs.
            MaskError: the mask differs.
        """
        size = tuple(frame.shape[-2:])
        if self._size not in (None, size):
            raise VOSError(
                f"frame {t} is {_times(size)}, those before it {_times(self._size or size)}; give all of one size"
            )
        self._size = size
        if mask is not None and mask.shape != size:
            raise MaskError(
                f"the mask of frame {t} is {_times(mask.shape)}, the frame {_times(size)}; "
                "give a mask of the frame's size"
            )

    def fit(self, images: Tensor) -> Tensor:
        """(N, C, H, W) float -> as the network sees them, (N, C, H', W'): scaled with antialiasing, edges repeated."""
        size = self._network_size(images.shape[-2:])
        if size != tuple(images.shape[-2:]):
            images = F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        return F.pad(images, (0, -size[1] % self.stride, 0, -size[0] % self.stride), mode="replicate")

    def restore(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """The network's output (N, C, H', W') -> (N, C, H, W)."""
        height, width = self._network_size(size)
        images = images[..., :height, :width]
        if (height, width) == size:
            return images
        return F.interpolate(images, size, mode="bilinear", align_corners=False)

    def _network_size(self, size: torch.Size | tuple[int, ...]) -> tuple[int, int]:
        """(H, W) before padding."""
        scale = 1.0 if self.max_size is None else min(1.0, self.max_size / max(size))
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _times(size: tuple[int, ...]) -> str:
    """(H, W) as users write it."""
    return "×".join(str(length) for length in reversed(size))
