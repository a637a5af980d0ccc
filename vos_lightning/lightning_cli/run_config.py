"""The resolved config of a run: in its folder, and in W&B."""

import pytorch_lightning as pl
import yaml
from pytorch_lightning.cli import SaveConfigCallback

from vos_lightning.callbacks.loggers import log_config
from vos_lightning.callbacks.run_folder import run_folder
from vos_lightning.io.files import atomic_path


class RunConfig(SaveConfigCallback):
    """Saves `config.yaml` in the run folder: `--config` of this file repeats the run.

    Of several runs into one folder it is that of the last; the others' are kept as `config-1.yaml`, `config-2.yaml`, …
    in the order of the runs.
    """

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Called once, by the first rank; what only scores or predicts has no folder without a logger."""
        if stage != "fit" and not trainer.loggers:
            return
        text = self.parser.dump(self.config, skip_none=False)
        path = run_folder(trainer) / self.config_filename
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            number = 1
            while (old := path.with_stem(f"{path.stem}-{number}")).exists():
                number += 1
            path.replace(old)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        log_config(trainer, yaml.safe_load(text))
