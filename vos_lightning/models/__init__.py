"""Networks, as plain PyTorch modules."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.models.cutout_tagging import CutoutTagging
    from vos_lightning.models.reconstruction import ReconstructionEncoder
    from vos_lightning.models.unet import UNet

__all__ = ["CutoutTagging", "ReconstructionEncoder", "UNet"]

__getattr__, __dir__ = lazy_names(
    __name__, CutoutTagging="cutout_tagging", ReconstructionEncoder="reconstruction", UNet="unet"
)
