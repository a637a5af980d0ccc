"""The papers' mathematics as pure functions of tensors."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vos_lightning.functional.attention import local_attention
    from vos_lightning.functional.contour import contour_accuracy
    from vos_lightning.functional.region import region_similarity

__all__ = ["contour_accuracy", "local_attention", "region_similarity"]

_HOMES = {"contour_accuracy": "contour", "local_attention": "attention", "region_similarity": "region"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
