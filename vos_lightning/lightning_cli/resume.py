"""Where runs are kept, and `--ckpt_path last`: find where one stopped, and go on in its folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from lightning_fabric.loggers.tensorboard import _TENSORBOARD_AVAILABLE, _TENSORBOARDX_AVAILABLE

from vos_lightning.errors import VOSError
from vos_lightning.lightning_cli.config_text import read_guarded

NAMES = ("last", "best")
# What makes a run's numbers; of these, what only changes its speed.
_COMPARED, _SPEED = ("seed_everything", "model", "data"), ("num_workers", "compile")


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
        kind = "TensorBoardLogger" if _TENSORBOARD_AVAILABLE or _TENSORBOARDX_AVAILABLE else "CSVLogger"
        logger = {"class_path": f"pytorch_lightning.loggers.{kind}", "init_args": {"save_dir": str(root)}}
    if isinstance(logger, list):
        return [same_run(one, checkpoint, root) for one in logger]
    kind = _kind(logger)
    if kind in ("TensorBoardLogger", "CSVLogger"):
        logger["init_args"]["version"] = run.name
    if kind == "WandbLogger":
        logger["init_args"]["id"] = logger["init_args"].get("id") or run.name
        logger["dict_kwargs"] = {"resume": "allow"} | dict(logger.get("dict_kwargs") or {})
    return logger


def check_same_settings(run: Path, config: dict[str, Any]) -> None:
    """Compare a config with that of the run that it is to go on with.

    Settings that only one of the two has are those of another version of the library, and left out.

    Args:
        run: folder of the run; without a `config.yaml`, as after training in a script, there is nothing to compare.
        config: as `config.yaml` would have it.

    Raises:
        VOSError: a setting of model, data or seed differs; names them.
    """
    path = run / "config.yaml"
    try:
        before = read_guarded(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise VOSError(f"{path} can't be read ({error}); mend or remove it") from error
    old, new = (dict(_flat(one)) for one in (before, config))
    changed = [f"{name} was {old[name]} and is {new[name]}" for name in old if name in new and old[name] != new[name]]
    if changed:
        raise VOSError(
            f"{run} is a run with other settings: {', '.join(changed)}; go on with its own (--config {path}), take the "
            "new ones (--accept_changes true), or start anew in another trainer.default_root_dir"
        )


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - of a config
    """Settings by dotted name."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key not in _SPEED and (name or key in _COMPARED):
                yield from _flat(one, f"{name}.{key}" if name else key)
    elif name:
        yield name, list(value) if isinstance(value, tuple) else value


def _kind(logger: Any) -> str:  # noqa: ANN401
    """Name of the class of a logger in a config; empty for none, and for Lightning's default."""
    return str(logger.get("class_path", "")).rpartition(".")[2] if hasattr(logger, "get") else ""
