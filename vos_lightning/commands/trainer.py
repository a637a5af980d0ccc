"""`vos-lightning fit | validate | test | predict`: Lightning's command line over all tasks and datamodules."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from vos_lightning.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from vos_lightning.callbacks.predictions import PredictionWriter
from vos_lightning.callbacks.progress import default_progress


class Main(LightningCLI):
    """LightningCLI with what every run of this library wants: checkpoints, predictions on disk, progress."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Callbacks that can be set in a config by these names."""
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.add_lightning_class_args(BestCheckpoint, "best_checkpoint")
        parser.add_lightning_class_args(PredictionWriter, "prediction_writer")

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:  # noqa: ANN401
        """Add the progress display that fits where the output goes, unless it is switched off."""
        if self._get(self.config_init, "trainer.enable_progress_bar") is not False:
            self.trainer_defaults["callbacks"] = default_progress(sys.stderr)
        return super().instantiate_trainer(**kwargs)


# True, but nothing that a user could do something about.
_NOISE = (
    ".*does not have many workers.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    "Total length of `list` across ranks is zero.*",
    "Precision .* is not supported by the model summary.*",
    "Checkpoint directory .* exists and is not empty.*",
    "Grad strides do not match bucket view strides.*",
    r".*use `self.log\('(val|test)/.*sync_dist=True.*",  # torchmetrics has gathered the ranks' rows already
)


def main(arguments: Sequence[str]) -> int:
    """Run one subcommand of Lightning."""
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=message)
    arguments = list(arguments)
    Main(
        # LightningCLI warns of arguments beside those of the process, also where they are the same
        args=None if arguments == sys.argv[1:] else arguments,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={"prog": "vos-lightning", "description": __doc__},
        seed_everything_default=0,
    )
    return 0
