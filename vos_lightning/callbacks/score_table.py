"""J and F of every sequence, as a table."""

from itertools import groupby
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from vos_lightning.callbacks.loggers import log_table
from vos_lightning.callbacks.run_folder import Value, append_table, run_folder

COLUMNS = ("sequence", "objects", "frames", "J", "F", "JF")


class ScoreTable(Callback):
    """A table with one row per sequence after each validation and test: `val/sequences` in W&B and TensorBoard.

    Without loggers too, the rows of the whole run are in `val_sequences.csv` in its folder, with the step before them.
    """

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the task logs its scores and forgets the rows."""
        self._report(trainer, "val", getattr(pl_module, "val_jf", None))

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """As in validation."""
        self._report(trainer, "test", getattr(pl_module, "test_jf", None))

    def _report(self, trainer: pl.Trainer, stage: str, measure: Any) -> None:  # noqa: ANN401 - a JFMeasure, or nothing
        if measure is None or trainer.sanity_checking:
            return
        rows = by_sequence(measure.per_object())  # gathers the ranks' rows: all of them have to ask
        if rows and trainer.is_global_zero:
            log_table(trainer, f"{stage}/sequences", COLUMNS, rows)
            stepped = [[trainer.global_step, *row] for row in rows]
            append_table(run_folder(trainer) / f"{stage}_sequences.csv", ("step", *COLUMNS), stepped)


def by_sequence(objects: list[dict[str, Any]]) -> list[list[Value]]:
    """Rows of `COLUMNS` from those of objects, sorted by sequence: means over the objects of each."""
    rows: list[list[Value]] = []
    for sequence, group in groupby(objects, key=lambda row: row["sequence"]):
        members = list(group)
        j, f = (sum(row[name] for row in members) / len(members) for name in ("J", "F"))
        rows.append([sequence, len(members), members[0]["frames"], j, f, (j + f) / 2])
    return rows
