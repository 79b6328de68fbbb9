"""What a porting rule says of one layer: where each parameter goes.

A rule yields entries with names as they are inside the layer. Functions only rearrange elements (transpose, reshape,
split, flip, concatenate), so the same function carries weights and gradients, and running it on the numbers of the
elements tells whether every element has exactly one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Rearrange = Callable[..., np.ndarray]
Side = Literal["torch", "flax"]


def _same(array: np.ndarray) -> np.ndarray:
    return array


@dataclass(frozen=True)
class Place:
    """Parameters of the torch layer that make one parameter of the flax layer.

    With ``summed`` the sources are added, each through its own function: flax has one parameter where torch has
    several, and training moves the first of them only.
    """

    sources: tuple[str, ...]
    target: str
    functions: tuple[Rearrange, ...]
    reshape: bool = False
    summed: bool = False

    def __call__(self, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The flax parameter of a shape, from arrays by source name."""
        if self.summed:
            made = sum(self.share(source, arrays[source]) for source in self.sources)
        else:
            made = self.functions[0](*(arrays[source] for source in self.sources))
        return np.asarray(made).reshape(shape) if self.reshape else np.asarray(made)

    def share(self, source: str, array: np.ndarray) -> np.ndarray:
        """What one of several summed sources adds."""
        return np.asarray(self.functions[self.sources.index(source)](array))


@dataclass(frozen=True)
class Zero:
    """A parameter, or a part of it, that the other side does not have: it must be zero, and stays so in training."""

    side: Side
    name: str
    function: Rearrange
    reason: str


@dataclass(frozen=True)
class Unused:
    """A parameter or buffer that means nothing to the other side."""

    side: Side
    name: str
    reason: str


@dataclass(frozen=True)
class Setting:
    """A setting of the layer on both sides, in the same terms; a difference is named where the layer differs."""

    name: str
    torch: Any
    flax: Any

    @property
    def differs(self) -> bool:
        return self.torch != self.flax


Entry = Place | Zero | Unused | Setting


def moved(source: str | tuple[str, ...], target: str, function: Rearrange = _same, *, reshape: bool = False) -> Place:
    """One flax parameter from one torch parameter or several.

    Args:
        source: the name inside the torch layer, or several, which become the arguments of ``function``.
        target: the name inside the flax layer.
        function: a rearrangement of NumPy arrays.
        reshape: whether its result is reshaped to the shape that the flax layer has.
    """
    return Place((source,) if isinstance(source, str) else source, target, (function,), reshape)


def added(sources: tuple[str, ...], target: str, function: Rearrange | tuple[Rearrange, ...] = _same) -> Place:
    """One flax parameter that is the sum of several torch parameters.

    Args:
        sources: the names inside the torch layer; training moves the first and holds the others.
        target: the name inside the flax layer.
        function: a rearrangement for all sources, or one for each, which may fill up with zeros.
    """
    functions = function if isinstance(function, tuple) else (function,) * len(sources)
    return Place(sources, target, functions, summed=True)


def zero(side: Side, name: str, function: Rearrange = _same, *, reason: str) -> Zero:
    """A parameter of one side that must be zero, because the other side has none; ``function`` takes the part."""
    return Zero(side, name, function, reason)


def unused(side: Side, name: str, *, reason: str) -> Unused:
    """A parameter or buffer of one side that the other has no use for."""
    return Unused(side, name, reason)


def setting(name: str, torch: Any, flax: Any) -> Setting:
    """A setting that both layers have, for the report to name where it differs."""
    return Setting(name, torch, flax)
