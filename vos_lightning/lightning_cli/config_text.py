"""YAML that would exhaust its reader is refused before it is read."""

from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

# Far more than any config has; Python's stack and a parser's patience end beyond.
MAX_DEPTH = 40
MAX_VALUES = 100_000
# jsonargparse copies a list once for each of its entries, so that 4,000 took it a minute and a half.
MAX_ENTRIES = 1_000

_read = get_loader("yaml")


def guard_configs() -> None:
    """Let configs and values of the command line be read by `read_guarded`."""
    set_loader("yaml", read_guarded, (yaml.YAMLError,))


def read_guarded(text: str) -> Any:  # noqa: ANN401 - what a YAML document holds
    """Values of a YAML document.

    Raises:
        yaml.YAMLError: it is none, nests too deeply, has too many values, those that aliases repeat included, or a list
            of too many.
    """
    _check_size(text)
    try:
        values = _read(text)
    except (ValueError, OverflowError, RecursionError) as error:  # of numbers with thousands of digits, for one
        raise yaml.YAMLError(str(error)) from error
    _check_lists(values)
    return values


def _check_lists(values: Any) -> None:  # noqa: ANN401
    """Refuse lists that would take the parser minutes."""
    if isinstance(values, list) and len(values) > MAX_ENTRIES:
        raise yaml.YAMLError(f"a list of {len(values)} values; {MAX_ENTRIES} are allowed")
    for value in values.values() if isinstance(values, dict) else values if isinstance(values, list) else ():
        _check_lists(value)


def _check_size(text: str) -> None:
    """Count what a document would grow to, from its events, for which nothing grows."""
    values = 0
    sizes: dict[str | None, int] = {}  # values that an alias stands for
    opened: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise yaml.YAMLError(f"*{event.anchor} lies inside of what it stands for")
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = values - before
        elif isinstance(event, yaml.NodeEvent):
            values += 1
            sizes[event.anchor] = 1
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, values - 1))
        if len(opened) > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} levels deep")
        if values > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES} values, those that aliases repeat included")
