"""`vos-lightning fit | validate | test | predict`."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from textwrap import shorten

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities import rank_zero_only

from vos_lightning.allocator import keep_freed_memory
from vos_lightning.data.clips.worker_errors import dead_worker
from vos_lightning.errors import VOSError
from vos_lightning.lightning_cli.class_names import with_import_paths
from vos_lightning.lightning_cli.config_errors import OneLineParser
from vos_lightning.lightning_cli.config_text import guard_configs
from vos_lightning.lightning_cli.configs import listing, with_paths
from vos_lightning.lightning_cli.messages import hide_messages
from vos_lightning.lightning_cli.rank_errors import dead_rank
from vos_lightning.lightning_cli.run_config import RunConfig
from vos_lightning.lightning_cli.trainer import TrainerCLI
from vos_lightning.ranks import AllRanksError


def main(arguments: Sequence[str]) -> int:
    """Run one subcommand of Lightning.

    Returns:
        The exit code: 0, or 1 if a loader process or another rank died, which is reported in one line on stderr.

    Raises:
        VOSError: something that the user can mend.
    """
    arguments = list(arguments)
    if "--config=list" in arguments or ["--config", "list"] in map(list, pairwise(arguments)):
        print(listing())
        return 0
    named = with_import_paths(with_paths(arguments))
    if arguments == sys.argv[1:]:
        sys.argv[1:] = named  # what processes of other ranks are started with
    guard_configs()
    hide_messages()
    keep_freed_memory()
    try:
        _run(named)
    except AllRanksError:
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            raise
        return 0  # the first rank reports it; at another code Lightning would kill that one, maybe before it could
    except Exception as error:
        death = dead_worker(error) or dead_rank(error)
        if death is None:
            raise
        print(f"vos-lightning: error: {death}", file=sys.stderr)
        return 1
    return 0


def _run(arguments: list[str]) -> None:
    """Run it, and turn Lightning's errors about settings and checkpoints into `VOSError`."""
    try:
        TrainerCLI(
            # LightningCLI warns of arguments beside those of the process, also where they are the same
            args=None if arguments == sys.argv[1:] else arguments,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_class=OneLineParser,
            parser_kwargs={"prog": "vos-lightning", "description": "Train, score and predict."},
            seed_everything_default=0,
        )
    except MisconfigurationException as error:
        raise VOSError(str(error)) from error
    except UnicodeDecodeError as error:
        raise VOSError(f"a config is not UTF-8 text: {error}") from error
    except RuntimeError as error:
        if "Error(s) in loading state_dict" not in str(error):
            raise
        reason = shorten(str(error).splitlines()[1], 160, placeholder=" …")
        raise VOSError(f"the checkpoint does not fit the model: {reason}") from error
