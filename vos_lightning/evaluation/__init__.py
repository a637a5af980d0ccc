"""Scores folders of results as the field does, reports them, and packs them for the servers; needs no Lightning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vos_lightning.evaluation.command import evaluate_command, export_command
    from vos_lightning.evaluation.html import html_report
    from vos_lightning.evaluation.report import Report
    from vos_lightning.evaluation.scoring import evaluate_folder

__all__ = ["Report", "evaluate_command", "evaluate_folder", "export_command", "html_report"]

_HOMES = {
    "Report": "report",
    "evaluate_command": "command",
    "evaluate_folder": "scoring",
    "export_command": "command",
    "html_report": "html",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
