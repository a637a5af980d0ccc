"""Before a run writes anything: a folder of its own, and the same state on all ranks."""

import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from vos_lightning.callbacks.run_folder import run_folder
from vos_lightning.errors import VOSError
from vos_lightning.io.locks import FolderLock
from vos_lightning.ranks import gather, raise_together


class RunStart(Callback):
    """Claims a new run folder that no other run gets, and holds it, and those of checkpoints, while a fit runs.

    Has to be the first callback: others ask for the run folder, and write to it. `claim` comes before the Trainer is
    started, which asks as well.

    Args:
        checkpoint: that the fit is to go on from, as this rank has found it; None starts anew.
        check: what the first rank, whose settings a run holds, finds out before it goes on with one; raises `VOSError`.

    Raises:
        AllRanksError: another run writes to one of the folders, or the ranks go on from different states.
    """

    def __init__(self, checkpoint: str | None = None, check: Callable[[], None] | None = None) -> None:
        self.checkpoint, self.check = checkpoint, check
        self._claimed: list[Path] = []
        self._locks: list[FolderLock] = []

    def claim(self, trainer: pl.Trainer) -> None:
        """Create the folder `version_N` of each logger that chooses N itself, with an N that no other run has.

        Lightning only looks for the highest number; several runs that start at once find the same one.

        Raises:
            OSError: it can't be created.
        """
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger | CSVLogger) and logger._version is None:
                self._claimed.append(_new_folder(logger))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Called before anything is written or read."""
        if not trainer.is_global_zero:
            self._release()  # of the first process on another machine
        if stage == "fit" and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise_together(self._lock(trainer) if trainer.is_global_zero else None)
            check_equal_state(self.checkpoint)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let others have the folders."""
        self._release()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """As `teardown`, which is left out then."""
        self._release()

    def _lock(self, trainer: pl.Trainer) -> str | None:
        """Check, and lock the folders; the reason why not, if not."""
        own = (c.dirpath for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.dirpath)
        try:
            if self.check is not None:
                self.check()
            for folder in sorted({os.path.realpath(one) for one in (run_folder(trainer), *own)}):
                self._locks.append(FolderLock(folder))
        except VOSError as error:
            self._release()
            return str(error)
        return None

    def _release(self) -> None:
        while self._locks:
            self._locks.pop().release()
        while self._claimed:
            with suppress(OSError):  # it holds something: the run began
                self._claimed.pop().rmdir()


def _new_folder(logger: TensorBoardLogger | CSVLogger) -> Path:
    while True:
        folder = Path(logger.root_dir) / f"version_{logger.version}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            logger._version = None  # have it look again


def check_equal_state(checkpoint: str | None) -> None:
    """Compare what the ranks go on from.

    Raises:
        AllRanksError: not all of them go on from a checkpoint with the same content; names machines and files.
    """
    if checkpoint is None:
        digest = ""
    else:
        with Path(checkpoint).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = gather((digest, f"{socket.gethostname()} {checkpoint or 'has none'}"))
    if len({digest for digest, _ in found}) > 1:
        places = "; ".join(dict.fromkeys(place for _, place in found))
        raise_together(
            f"the ranks would go on from different checkpoints ({places}); resuming needs a folder that all machines "
            "share: trainer.default_root_dir"
        )
