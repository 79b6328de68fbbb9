"""The one floating array that a module's output (or input) means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ._arrays import DENSE, is_floating
from ._spec.errors import sentence


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every floating array inside tuples, lists, mappings and dataclasses, with its place."""
    if is_floating(value):
        yield path, value
    else:
        for key, inner in _children(value):
            yield from leaves(inner, f"{path}[{key!r}]")


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple | list):
        yield from enumerate(value)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value))


def pick(name: str, of: str, value: Any, index: int | str | None, primary: int | str | None) -> Any:
    """The array at ``index``; without one the primary one of a known module; without that the only floating one."""
    chosen = _at(name, of, value, index) if index is not None else value
    found = list(leaves(chosen))
    if len(found) > 1 and index is None and primary is not None:
        found = list(leaves(_at(name, of, value, primary)))
    if not found:
        hint = "Choose a module that has one, or name an array with Tap."
        raise TypeError(sentence("activations", f"the {of} of {name!r}", DENSE, _kind(chosen), hint))
    if len(found) > 1:
        places = ", ".join(place or "''" for place, _ in found[:6])
        hint = f"Floating arrays are at: {places}."
        raise ValueError(sentence("activations", "index", f"given for {name!r}, which has several arrays", index, hint))
    return found[0][1]


def main(value: Any, primary: int | str | None) -> Any:
    """The part of a value whose axes the owners table knows: the primary one, or all of it."""
    if primary is None or is_floating(value):
        return value
    return dict(_children(value)).get(primary)


def _at(name: str, of: str, value: Any, index: int | str) -> Any:
    """What stands at a key; a number that is no key is a position (not among inputs, whose names have no order)."""
    children = list(_children(value))
    for key, inner in children:
        if key == index:
            return inner
    if index == 0 and is_floating(value):
        return value
    if of == "output" and isinstance(index, int) and -len(children) <= index < len(children):
        return children[index][1]
    keys = [key for key, _ in children]
    raise LookupError(
        sentence("activations", "index", f"a position or key in the {of} of {name!r}", index, f"It has: {keys}.")
    )


def _kind(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else str(dtype).removeprefix("torch.")
