"""Where runs are kept, and `--ckpt_path last`: find where one stopped, and go on in its folder."""

from pathlib import Path
from typing import Any

NAMES = ("last", "best")


def newest_checkpoint(name: str, folders: list[Path]) -> Path | None:
    """The `last.ckpt` or `best.ckpt` written last, at any depth of the folders."""
    found = [path for folder in folders if folder.is_dir() for path in folder.rglob(f"{name}.ckpt")]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def place_loggers(logger: Any, root: Path) -> None:  # noqa: ANN401 - as the YAML has it
    """Have W&B's files in `trainer.default_root_dir` too, unless its config says where."""
    for one in logger if isinstance(logger, list) else [logger]:
        if _kind(one) == "WandbLogger" and one["init_args"].get("save_dir") in (None, "."):
            root.mkdir(parents=True, exist_ok=True)  # where it is missing, W&B takes the system's temporary folder
            one["init_args"]["save_dir"] = str(root)


def same_run(logger: Any, checkpoint: Path, root: Path) -> Any:  # noqa: ANN401 - as the YAML has it
    """The logger of a config, told to go on with the run that a checkpoint belongs to.

    Args:
        logger: one or several, as in `trainer.logger`.
        checkpoint: in `checkpoints` in the run's folder, which is NAME/VERSION in that of the logger.
        root: `trainer.default_root_dir`.
    """
    run = checkpoint.resolve().parent.parent
    if logger is None or logger is True:
        if run.parent.name != "lightning_logs" or not run.name.startswith("version_"):
            return logger
        logger = {"class_path": "pytorch_lightning.loggers.TensorBoardLogger", "init_args": {"save_dir": str(root)}}
    if isinstance(logger, list):
        return [same_run(one, checkpoint, root) for one in logger]
    kind = _kind(logger)
    if kind in ("TensorBoardLogger", "CSVLogger"):
        logger["init_args"]["version"] = run.name
    if kind == "WandbLogger":
        logger["init_args"]["id"] = logger["init_args"].get("id") or run.name
        logger["dict_kwargs"] = {"resume": "allow"} | dict(logger.get("dict_kwargs") or {})
    return logger


def _kind(logger: Any) -> str:  # noqa: ANN401
    """Name of the class of a logger in a config; empty for none, and for Lightning's default."""
    return str(logger.get("class_path", "")).rpartition(".")[2] if hasattr(logger, "get") else ""
