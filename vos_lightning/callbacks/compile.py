"""`torch.compile` for parts of a task, as an option of a run."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from vos_lightning.errors import VOSError


class CompileModules(Callback):
    """Compiles parts of the task when a fit starts; the names in checkpoints stay as they are.

    The first steps take a minute longer; frames of another size, as in validation, are compiled again.

    Args:
        modules: names of the task's attributes, such as `encoder`; none by default.
        backend: of `torch.compile`.
        mode: of `torch.compile`, such as "max-autotune".
    """

    def __init__(self, modules: list[str] = [], backend: str = "inductor", mode: str | None = None) -> None:  # noqa: B006 - never changed
        self.modules, self.backend, self.mode = modules, backend, mode

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Compile in place.

        Raises:
            VOSError: the task has no such part.
        """
        parts = dict(pl_module.named_modules())
        for name in self.modules if stage == "fit" else []:
            if name not in parts:
                known = ", ".join(key for key, _ in pl_module.named_children())
                raise VOSError(f"compile.modules: {type(pl_module).__name__} has no {name!r}; it has {known}")
            parts[name].compile(backend=self.backend, mode=self.mode)
