"""The configs that ship with the package, by name: `--config mast_videos`."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

from vos_lightning.errors import VOSError

# `examples/` of the repository
FOLDER = Path(__file__).parents[1] / "configs"


def names() -> list[str]:
    """Names of all configs, such as `mast_videos` and `trainer/ddp`."""
    paths = [*FOLDER.glob("*.yaml"), *FOLDER.glob("trainer/*.yaml")]
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in paths)


def with_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments with the path of the config in the place of its name; a file of the user's that is called so wins.

    Raises:
        VOSError: a `--config` that is neither a file nor a name.
    """
    result, is_config = list[str](), False
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if is_config:
            result.append(_path(argument))
        elif option == "--config" and equals:
            result.append(f"--config={_path(value)}")
        else:
            result.append(argument)
        is_config = argument == "--config"
    return result


def listing() -> str:
    """The names, each with the first line of its config."""
    first = {name: (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0] for name in names()}
    lines = [f"{name:<24} {shorten(line.lstrip('# '), 90, placeholder=' …')}" for name, line in first.items()]
    copy = "vos-lightning fit --config mast_videos --print_config=skip_default > my.yaml"
    lines += ["", f"They lie in {FOLDER}. Set options beside a name, or copy a config out and change it:", f"  {copy}"]
    return "\n".join(lines)


def _path(value: str) -> str:
    if Path(value).exists() or value.endswith((".yaml", ".yml")) or not value.replace("/", "").isidentifier():
        return value
    if value not in names():
        raise VOSError(f"--config {value}: neither a file nor a config of the package; `--config list` names these")
    return str(FOLDER / f"{value}.yaml")
