"""How good masks are: region similarity J and contour accuracy F, of arrays and tensors."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.functional.measures.contour import contour_accuracy
    from vos_lightning.functional.measures.frame_scores import FrameScores, score_frame
    from vos_lightning.functional.measures.region import region_similarity

__all__ = [
    "FrameScores",
    "contour_accuracy",
    "region_similarity",
    "score_frame",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    FrameScores="frame_scores",
    contour_accuracy="contour",
    region_similarity="region",
    score_frame="frame_scores",
)
