"""Online adaptation (SSVOS §3.3): a U-Net learns one sequence from its propagated masks, and predicts them anew."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.inference.adaptation.sequence import adapt, adapt_pairs
    from vos_lightning.inference.adaptation.settings import CPU_SETTINGS, PAPER_SETTINGS, AdapterSettings

__all__ = ["CPU_SETTINGS", "PAPER_SETTINGS", "AdapterSettings", "adapt", "adapt_pairs"]

__getattr__, __dir__ = lazy_names(
    __name__,
    CPU_SETTINGS="settings",
    PAPER_SETTINGS="settings",
    AdapterSettings="settings",
    adapt="sequence",
    adapt_pairs="sequence",
)
