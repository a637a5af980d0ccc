"""LightningModules: how the networks learn, validate and predict."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.tasks.ct_vos import CTVOS
    from vos_lightning.tasks.mast import MAST
    from vos_lightning.tasks.online_adapter import OnlineAdapter

__all__ = ["CTVOS", "MAST", "OnlineAdapter"]

__getattr__, __dir__ = lazy_names(__name__, CTVOS="ct_vos", MAST="mast", OnlineAdapter="online_adapter")
