"""Scores folders of results as the field does, reports them, and packs them for the servers; needs no Lightning."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.evaluation.command import evaluate_command, export_command
    from vos_lightning.evaluation.html import html_report
    from vos_lightning.evaluation.report import Report
    from vos_lightning.evaluation.scoring import evaluate_folder

__all__ = ["Report", "evaluate_command", "evaluate_folder", "export_command", "html_report"]

__getattr__, __dir__ = lazy_names(
    __name__,
    Report="report",
    evaluate_command="command",
    evaluate_folder="scoring",
    export_command="command",
    html_report="html",
)
