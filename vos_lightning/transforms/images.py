"""Images with their masks: resizing and augmentation. Nothing else imports albumentations."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def resize_image(image: Pixels, size: int) -> Pixels:
    """RGB (H, W, 3) -> (size, size, 3), bilinear, filtered when shrinking; the aspect ratio is given up."""
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def resize_mask(mask: Pixels, size: int) -> Pixels:
    """Ids (H, W) -> (size, size), nearest neighbour."""
    return np.array(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))


class ImageAugmentation:
    """Random colour jitter, gray-scaling and horizontal flip of an image and its mask together (SSVOS §4.1).

    Draws from a generator of its own: no global random state is read or changed.

    Args:
        seed: of the draws.
        colour_jitter: probability.
        to_gray: probability.
        horizontal_flip: probability.
    """

    def __init__(
        self, seed: int, colour_jitter: float = 0.8, to_gray: float = 0.1, horizontal_flip: float = 0.5
    ) -> None:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for a newer version
        import albumentations as A

        self._compose: Any = A.Compose(
            [
                A.ColorJitter((0.7, 1.3), (0.7, 1.3), (0.7, 1.3), (-0.05, 0.05), p=colour_jitter),
                A.ToGray(p=to_gray),
                A.HorizontalFlip(p=horizontal_flip),
            ],
            seed=seed,
        )

    def __call__(self, image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
        """Transform RGB (H, W, 3) and ids (H, W).

        Returns:
            Both in their shapes; the mask holds no value that it didn't hold before.
        """
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]
