"""Transforms: of clips on the device, of images with masks on the CPU."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.transforms.clips import ClipAugmentation
    from vos_lightning.transforms.images import ImageAugmentation

__all__ = [
    "ClipAugmentation",
    "ImageAugmentation",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    ClipAugmentation="clips",
    ImageAugmentation="images",
)
