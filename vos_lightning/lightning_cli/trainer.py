"""LightningCLI with the defaults of this library."""

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any

import pytorch_lightning as pl
import yaml
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator
from pytorch_lightning.callbacks import ModelSummary
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_info, rank_zero_only

from vos_lightning.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from vos_lightning.callbacks.checkpoints.files import AtomicCheckpointIO
from vos_lightning.callbacks.checkpoints.random_state import RandomState
from vos_lightning.callbacks.monitor import Monitor
from vos_lightning.callbacks.non_finite import NonFinite
from vos_lightning.callbacks.pictures import Pictures
from vos_lightning.callbacks.predictions import PredictionWriter
from vos_lightning.callbacks.progress import default_progress
from vos_lightning.callbacks.run_start import RunStart
from vos_lightning.callbacks.score_table import ScoreTable
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.io.terminal import say
from vos_lightning.lightning_cli.checkpoint_settings import checkpoint_settings
from vos_lightning.lightning_cli.config_errors import one_line
from vos_lightning.lightning_cli.resume import (
    NAMES,
    check_same_settings,
    newest_checkpoint,
    place_loggers,
    same_run,
)
from vos_lightning.tasks.base import TrackingTask


class TrainerCLI(LightningCLI):
    """LightningCLI with what every run of this library wants: checkpoints, pictures, numbers, progress."""

    # of the run that is gone on with, see `RunStart`
    check: Callable[[], None] | None = None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Callbacks that can be set in a config by these names."""
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.add_lightning_class_args(BestCheckpoint, "best_checkpoint")
        parser.add_lightning_class_args(NonFinite, "non_finite")
        parser.add_lightning_class_args(Pictures, "pictures")
        parser.add_lightning_class_args(PredictionWriter, "prediction_writer")
        parser.add_argument(
            "--accept_changes",
            type=bool,
            default=False,
            help="let a fit from --ckpt_path last or best go on with other settings than the run began with",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401
        """Also keep what was given apart from what is default."""
        super().parse_arguments(parser, args)
        self.given = parser.parse_args(args, defaults=False)

    def _parse_ckpt_path(self) -> None:
        """Find `last` and `best`, and take from the checkpoint the model's options that were not given.

        Lightning's own would put the checkpoint's over those given.
        """
        command = self.config["subcommand"]
        config, given = self.config[command], self.given[command]
        if not isinstance(config["trainer"], Namespace):
            raise VOSError(f"trainer is {config['trainer']!r:.60}; expected its options, as --print_config shows them")
        place_loggers(config["trainer.logger"], Path(config["trainer.default_root_dir"] or "."))
        named = config.get("ckpt_path") in NAMES
        if named:
            self._find_checkpoint(config, command)
        if config.get("ckpt_path") is None:
            return
        if config.get("weights_only") is False:
            raise VOSError("weights_only=False would run code that a checkpoint may hold; checkpoints are data here")
        settings = checkpoint_settings(Path(config["ckpt_path"]), _imported(config["model.class_path"]))
        _fill(config.get("model.init_args") or {}, given.get("model.init_args") or {}, settings)
        if named and command == "fit" and not config["accept_changes"]:
            wanted = yaml.safe_load(self._parser(command).dump(config, skip_none=False))
            self.check = partial(check_same_settings, Path(config["ckpt_path"]).resolve().parent.parent, wanted)

    def _find_checkpoint(self, config: Any, command: str) -> None:  # noqa: ANN401 - a namespace
        """Put the path in the place of `last` or `best`; a fit goes on in that run's folder."""
        name, root = config["ckpt_path"], Path(config.get("trainer.default_root_dir") or ".")
        folders = [Path(config.get(f"{name}_checkpoint.dirpath") or root), root]
        path = newest_checkpoint(name, folders)
        if path is None and command == "fit":
            rank_zero_info(f"no {name}.ckpt in {root} to go on from: starting anew")
        elif path is None:
            raise VOSError(f"no {name}.ckpt in {root}; give --trainer.default_root_dir of the run, or the file's path")
        elif command == "fit":
            rank_zero_info(f"going on from {path}")
            for kind in NAMES:
                config[f"{kind}_checkpoint.dirpath"] = config[f"{kind}_checkpoint.dirpath"] or str(path.parent)
            config["trainer.logger"] = same_run(config["trainer.logger"], path, root)
        config["ckpt_path"] = None if path is None else str(path)

    def instantiate_classes(self) -> None:
        """Say in one line what options a class refuses.

        Raises:
            VOSError: it refuses them.
        """
        try:
            super().instantiate_classes()
        except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
            raise VOSError(one_line(str(error))) from error

    def _run_subcommand(self, subcommand: str) -> None:
        """Values that nothing can be done with show before the first step; later ones are faults of the code.

        Raises:
            VOSError: such a value.
            CorruptFileError: a checkpoint that nothing can be restored from.
            KeyboardInterrupt: Ctrl-C, of which Lightning makes an exit code of its own.
        """
        try:
            super()._run_subcommand(subcommand)
            if subcommand == "fit" and self.trainer.is_global_zero:
                self._say_what_was_saved()
        except SystemExit as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from stop
            raise
        except VOSError:
            raise
        except Exception as error:
            if _is_restoring(error):
                path = self.config[subcommand].get("ckpt_path")
                raise CorruptFileError(f"{path} is damaged: {type(error).__name__} {one_line(str(error))}") from error
            if not isinstance(error, ValueError) or subcommand != "fit" or self.trainer.global_step > 0:
                raise
            raise VOSError(str(error)) from error

    def _say_what_was_saved(self) -> None:
        """The weights of this run, and how to use them."""
        for callback in self.trainer.checkpoint_callbacks:
            if isinstance(callback, LastCheckpoint | BestCheckpoint) and callback.best_model_path:
                path = Path(callback.best_model_path)
                use = f"vos-lightning segment VIDEO --mask FIRST.png --output masks --weights {path}"
                say(f"saved {path}" + f"; use it: {use}" * isinstance(self.model, TrackingTask), sys.stderr)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:  # noqa: ANN401
        """Add what isn't to be configured, and the progress display that fits where the output goes."""
        trainer = self._get(self.config_init, "trainer")
        callbacks: list[pl.Callback] = [Monitor(), ScoreTable(), RandomState()]
        if trainer["enable_progress_bar"] is not False:
            callbacks.append(default_progress(sys.stderr))
        if trainer["enable_model_summary"] is not False and not sys.stderr.isatty():
            callbacks.append(ModelSummary())  # Lightning's choice would draw boxes
        self.trainer_defaults["callbacks"] = callbacks
        if trainer["sync_batchnorm"] and not _has_gpu(trainer["accelerator"]):
            rank_zero_info("BatchNorm is synchronised on GPUs only: each process uses the statistics of its own clips")
            kwargs["sync_batchnorm"] = False
        plugins = trainer["plugins"] or []
        kwargs["plugins"] = [*(plugins if isinstance(plugins, list) else [plugins]), AtomicCheckpointIO()]
        built = super().instantiate_trainer(**kwargs)
        start = RunStart(self.config[self.subcommand].get("ckpt_path"), self.check)
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            start.claim(built)
        built.callbacks.insert(0, start)  # type: ignore[attr-defined]
        return built

    def predict(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Write the masks and hold none."""
        self.trainer.predict(**kwargs | {"return_predictions": False})


def _is_restoring(error: Exception) -> bool:
    """Whether an error came up while a checkpoint's content was taken over; weights of another shape are no damage."""
    names = [
        frame.f_code.co_name
        for frame, _ in walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") == "pytorch_lightning.trainer.connectors.checkpoint_connector"
    ]
    return any(
        name.startswith(("restore", "_restore", "resume")) for name in names
    ) and "Error(s) in loading state_dict" not in str(error)


def _has_gpu(accelerator: object) -> bool:
    """Whether a trainer will use GPUs, as Lightning chooses."""
    if accelerator in ("auto", "gpu"):
        return CUDAAccelerator.is_available() or MPSAccelerator.is_available()
    return accelerator != "cpu" and not isinstance(accelerator, CPUAccelerator)


def _imported(class_path: str) -> type:
    """The class of the model, which the user has named."""
    module, _, name = class_path.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


def _fill(options: Any, chosen: Any, settings: dict[str, Any]) -> None:  # noqa: ANN401 - namespaces
    """Set the options that were not chosen, in nested tables too."""
    for name, value in settings.items():
        if isinstance(value, dict) and hasattr(options.get(name), "items"):
            _fill(options[name], chosen.get(name) or {}, value)
        elif name in options and name not in chosen:
            options[name] = value
