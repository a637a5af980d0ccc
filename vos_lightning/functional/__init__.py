"""The papers' mathematics as pure functions of tensors."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.functional.attention import local_attention
    from vos_lightning.functional.measures.contour import contour_accuracy
    from vos_lightning.functional.measures.region import region_similarity

__all__ = ["contour_accuracy", "local_attention", "region_similarity"]

__getattr__, __dir__ = lazy_names(
    __name__, contour_accuracy="measures.contour", local_attention="attention", region_similarity="measures.region"
)
