"""What every oracle loops over, and the exact sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Axes = tuple[str, ...]
Mask = NDArray[np.bool_] | None
Index = tuple[int, ...]


@dataclass(frozen=True)
class Expected:
    """What a penalty of one array must give.

    ``scale`` is S of the bounds, the sum of the absolute values of all terms; ``gradient_scale`` is the same for each
    element of the gradient. Where no term cancels another they are the absolute value and the absolute gradient.
    ``terms_per_element`` counts those terms; ``grams`` has the (rows, length of a row) of every Gram matrix in the
    formula.

    ``roundings`` is how many units u of relative error a term of the value may have before it is summed and multiplied
    by the strength, as a sum of plain products has 2; ``gradient_roundings`` is the same for an element of the
    gradient. An operation of arithmetic counts 1, a transcendental function 4 (two units in the last place), an error
    of an argument counts as often as the condition of the function says. Whoever states another number derives it.

    ``factor`` and ``gradient_factor`` replace the whole factor of u · S where the formula is no plain sum (a matrix
    that is factorised, a mean taken away): derived beside the oracle, with the condition number in it.

    ``gradient_underflow`` is how many times the smallest normal number an element of the gradient may be off, because
    a factor or a term inside the formula may be flushed to zero there.
    """

    value: float
    gradient: Array
    scale: float
    gradient_scale: Array
    grams: tuple[tuple[int, int], ...] = ()
    terms_per_element: int = 1
    roundings: float = 2
    gradient_roundings: float = 3
    factor: float | None = None
    gradient_factor: float | None = None
    gradient_underflow: Array | float = 0.0

    @property
    def n(self) -> int:
        """The number of terms."""
        return self.terms_per_element * self.gradient.size


Oracle = Callable[..., Expected]
"""A penalty by its formula: the array, the canonical names of its axes, a mask over the leading ones, the arguments."""


def total(terms: Iterable[float]) -> float:
    """The sum, rounded once; IEEE's own answer where a term or the sum is not finite."""
    terms = list(terms)
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):  # an overflow, and inf - inf
        return float(sum(terms))


def euclidean(values: Iterable[float]) -> float:
    """√Σx², right also where x² is beyond the range of float64; NaN beside an infinity stays NaN."""
    values = list(values)
    return math.nan if any(math.isnan(value) for value in values) else math.hypot(*values)


def sign(value: float) -> float:
    """-1, 0 or 1, and NaN for NaN."""
    if math.isnan(value):
        return math.nan
    return float((value > 0) - (value < 0))


def counted(x: Array, where: Mask) -> Iterator[tuple[Index, float]]:
    """Every (index, element) that the mask, which lies over the leading axes, lets count."""
    entries = zip(product(*map(range, x.shape)), x.ravel().tolist(), strict=True)
    if where is None:
        yield from entries
        return
    for index, value in entries:
        if where[index[: where.ndim]]:
            yield index, value


def matching(name: str, axes: Axes) -> list[int]:
    """The positions of the axes that a group name means: ``kernel`` is every k axis, ``position`` every p axis."""
    prefix = {"kernel": "k", "position": "p"}.get(name)
    if prefix is None:
        return [axes.index(name)]
    return [i for i, axis in enumerate(axes) if axis[0] == prefix and axis[1:].isdigit()]


def grouped(x: Array, axes: Axes, where: Mask, names: tuple[str, ...]) -> dict[Index, list[tuple[Index, float]]]:
    """The elements that count, gathered by their indices along the named axes."""
    along = sorted({position for name in names for position in matching(name, axes)})
    groups: dict[Index, list[tuple[Index, float]]] = {}
    for index, value in counted(x, where):
        groups.setdefault(tuple(index[i] for i in along), []).append((index, value))
    return groups
