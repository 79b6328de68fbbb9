"""What is said of both sides at once, and how a batch and an output are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from torchreg._spec.errors import sentence


class PortError(ValueError):
    """The weights of one model cannot be put into the other, wholly and without a guess.

    Attributes:
        leftovers: the parameters concerned, as ``torch: name`` or ``flax: name``.
    """

    def __init__(self, message: str, leftovers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.leftovers = leftovers


class Sides(NamedTuple):
    """Something that differs between the frameworks: a batch, a regularizer, what is read of an output, a loss."""

    torch: Any
    flax: Any


def both(value: Any) -> Sides:
    """A value for each side: what is no ``Sides`` is for both."""
    return value if isinstance(value, Sides) else Sides(value, value)


class Inputs(NamedTuple):
    """What a model is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def inputs(batch: Any) -> Inputs:
    """An array is one argument, a tuple several, a dict keywords, and a tuple of a tuple and a dict both."""
    if isinstance(batch, Mapping):
        return Inputs((), dict(batch))
    if isinstance(batch, tuple):
        if len(batch) == 2 and isinstance(batch[0], tuple) and isinstance(batch[1], Mapping):
            return Inputs(batch[0], dict(batch[1]))
        return Inputs(batch, {})
    if isinstance(batch, np.ndarray):
        return Inputs((batch,), {})
    expected = "a NumPy array, a tuple of arguments, a dict of keywords, a (tuple, dict) of both, or Sides of these"
    raise TypeError(sentence("compare", "batch", expected, batch))


def converted(value: Any, dtype: str, array: Callable[[np.ndarray], Any]) -> Any:
    """Every NumPy array inside, floating ones as ``dtype``, as an array of a framework; all else as it is."""
    if isinstance(value, np.ndarray):
        return array(value.astype(dtype) if np.issubdtype(value.dtype, np.floating) else value)
    if isinstance(value, Mapping):
        return {key: converted(item, dtype, array) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = (converted(item, dtype, array) for item in value)
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def leaves(value: Any, is_array: Callable[[Any], bool]) -> list[Any]:
    """The arrays inside an output, in order: through mappings, dataclasses, tuples and lists."""
    if is_array(value):
        return [value]
    if isinstance(value, Mapping):
        inner = list(value.values())
    elif isinstance(value, tuple | list):
        inner = list(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        return []
    return [found for item in inner for found in leaves(item, is_array)]


def joined(*parts: str) -> str:
    """A dotted name; an empty part is the root."""
    return ".".join(part for part in parts if part)
