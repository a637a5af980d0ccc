"""Signals that end a run: noted while a batch is computed, obeyed when it is done."""

import signal
from types import FrameType
from typing import Any

import pytorch_lightning as pl

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """Remembers the first signal; a second Ctrl-C interrupts at once.

    Attributes:
        received: the signal, or None.
        patient: whether a signal waits for someone to look; if not, it ends the process where it is.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.patient = True
        self._previous: dict[signal.Signals, Any] = {}
        self._trainer: pl.Trainer | None = None

    def listen(self, trainer: pl.Trainer) -> None:
        """Take the signals over, but SIGUSR1 from whoever has it, such as Lightning's requeueing on SLURM."""
        self.received, self.patient, self._trainer = None, True, trainer
        for number in _STOPPING:
            if number == signal.SIGUSR1 and signal.getsignal(number) != signal.SIG_DFL:
                continue
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
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        first, self.received = self.received is None, number
        launcher = self._trainer.strategy.launcher if self._trainer is not None else None
        if first and launcher is not None:
            launcher.kill(number)  # the ranks that Lightning has started here
        if not self.patient:
            raise self.exit()
