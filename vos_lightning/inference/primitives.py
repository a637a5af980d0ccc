"""Plain values out of a file -> dataclasses, every type checked: what a file says is never taken on trust."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from vos_lightning.errors import VOSError

Settings = TypeVar("Settings")


def from_primitives(kind: type[Settings], values: object, name: str = "") -> Settings:
    """A dataclass of numbers, strings, None, tuples and other such dataclasses, from what a file holds.

    Args:
        kind: the dataclass. Fields with a default may be missing; what it has no field for is left out.
        values: a mapping of names to plain values.
        name: of the values, for the message.

    Raises:
        VOSError: not a mapping, a field is missing, or one is of another type; numbers must be finite.
    """
    if not isinstance(values, Mapping):
        raise VOSError(f"{name or 'settings'} is {values!r:.60}; expected names and values")
    hints, found = get_type_hints(kind), {}
    for field in fields(kind):  # type: ignore[arg-type]  # bound to dataclasses by the callers
        label = f"{name}.{field.name}" if name else field.name
        if field.name in values:
            found[field.name] = converted(values[field.name], hints[field.name], label)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise VOSError(f"{label} is missing")
    return kind(**found)


def converted(value: object, hint: Any, name: str) -> Any:  # noqa: ANN401 - whatever the hint says
    """A value as its type has it: number, string, None, list, tuple, dataclass.

    Raises:
        VOSError: it is of another type; names it.
    """
    if is_dataclass(hint):
        return from_primitives(hint, value, name)  # type: ignore[arg-type]  # a class, not an instance
    if not _fits(value, hint):
        raise VOSError(f"{name} is {value!r:.60}; expected {getattr(hint, '__name__', hint)}")
    return tuple(value) if isinstance(value, list) and get_origin(hint) is tuple else value


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401
    """Is a plain value of a type? Integers are numbers too, truth values are not."""
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return any(_fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin in (tuple, list):
        return isinstance(value, list | tuple) and all(_fits(one, get_args(hint)[0]) for one in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is (NoneType if hint is None else hint)
