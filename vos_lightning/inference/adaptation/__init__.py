"""Learning from one video's propagated masks: its encoder, or a U-Net that predicts them anew (SSVOS §3.3)."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.inference.adaptation.encoder import EncoderSettings, adapt_encoder
    from vos_lightning.inference.adaptation.sequence import adapt, adapt_pairs
    from vos_lightning.inference.adaptation.settings import CPU_SETTINGS, PAPER_SETTINGS, AdapterSettings

__all__ = [
    "CPU_SETTINGS",
    "PAPER_SETTINGS",
    "AdapterSettings",
    "EncoderSettings",
    "adapt",
    "adapt_encoder",
    "adapt_pairs",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    CPU_SETTINGS="settings",
    PAPER_SETTINGS="settings",
    AdapterSettings="settings",
    EncoderSettings="encoder",
    adapt="sequence",
    adapt_encoder="encoder",
    adapt_pairs="sequence",
)
