"""Signals that end a run: noted while a batch is computed, acted on when it is done."""

import signal
import threading
import time
from types import FrameType
from typing import Any

import pytorch_lightning as pl

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# A terminal interrupts all ranks, and the first passes it on: what follows within this many seconds is the same Ctrl-C.
_SAME = 1.0


class StopSignals:
    """Remembers the first signal; a second Ctrl-C interrupts at once.

    Attributes:
        received: the signal, or None.
        patient: whether a signal waits for someone to look; if not, it ends the process where it is.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.patient = True
        self._when = 0.0
        self._previous: dict[signal.Signals, Any] = {}
        self._trainer: pl.Trainer | None = None

    def listen(self, trainer: pl.Trainer) -> None:
        """Take the signals over, but none that is ignored, as Ctrl-C is in the background of a shell.

        SIGUSR1 is left to whoever has it, such as Lightning's requeueing on SLURM.
        """
        self.received, self.patient, self._trainer = None, True, trainer
        if threading.current_thread() is not threading.main_thread():
            return  # Python gives signals to the main thread alone
        for number in _STOPPING:
            handler = signal.getsignal(number)
            if handler != signal.SIG_IGN and (number != signal.SIGUSR1 or handler == signal.SIG_DFL):
                self._previous[number] = signal.signal(number, self._note)

    def ignore(self) -> None:
        """Give the signals back to those who had them before."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)
        self._trainer = None

    def exit(self) -> SystemExit:
        """What ends the process, with the exit code that shells give to the signal."""
        return SystemExit(128 + (self.received or signal.SIGTERM))

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received is not None and time.monotonic() - self._when > _SAME:
            raise KeyboardInterrupt
        first, self.received, self._when = self.received is None, number, time.monotonic()
        launcher = self._trainer.strategy.launcher if self._trainer is not None else None
        if first and launcher is not None:
            launcher.kill(number)  # the ranks that Lightning has started here
        if not self.patient:
            raise self.exit()
