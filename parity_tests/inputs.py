"""The classes of input: each makes numbers for a shape, a pure function of its seed, before rounding to a dtype."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity_tests.precision import Array, round_to

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Scales:
    """Magnitudes that a dtype can hold without subnormal numbers, which JAX flushes to zero on the CPU.

    ``huge`` and ``tiny`` keep squares and their sums inside the accumulator; ``overflow`` is for its squares too much,
    and ``underflow`` too little: only a penalty that scales first is right there.
    """

    huge: float
    tiny: float
    wide: float
    overflow: float
    underflow: float


SCALES = {
    "float64": Scales(huge=1e60, tiny=1e-60, wide=20, overflow=1e200, underflow=1e-200),
    "float32": Scales(huge=1e15, tiny=1e-15, wide=8, overflow=1e25, underflow=1e-25),
    "bfloat16": Scales(huge=1e15, tiny=1e-15, wide=8, overflow=1e25, underflow=1e-25),
    "float16": Scales(huge=1e4, tiny=1e-3, wide=2, overflow=1e4, underflow=1e-3),
}


def normal(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """Standard normal numbers."""
    return rng.standard_normal(shape)


def ties(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """Zeros of both signs and equal magnitudes; the first slice of every axis is zero, so whole groups are."""
    x = rng.choice([0.0, -0.0, 0.5, -0.5, 1.0, -1.0], size=shape)
    for axis, size in enumerate(shape):
        if size > 1:
            x[(slice(None),) * axis + (0,)] = 0.0
    return x


def zero(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """Nothing but zeros."""
    return np.zeros(shape)


def wide(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """Magnitudes spread evenly, in logarithm, over most of the range."""
    return rng.choice([-1.0, 1.0], size=shape) * 10.0 ** rng.uniform(-scales.wide, scales.wide, size=shape)


def unit(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """Numbers inside (0, 1), as a sigmoid gives them."""
    return rng.uniform(0.05, 0.95, size=shape)


def _turned(shape: Shape, entries: Callable[[int, int], Array]) -> Array:
    """An array of a shape from a matrix that is not taller than wide, and its transpose where it must be taller."""
    rows, columns = (shape[0], int(np.prod(shape[1:]))) if shape else (1, 1)
    matrix = entries(min(rows, columns), max(rows, columns))
    return (matrix if rows <= columns else matrix.T).reshape(shape)


def isometry(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """A signed permutation, wide or tall: every singular value is exactly 1."""

    def entries(rows: int, columns: int) -> Array:
        x = np.zeros((rows, columns))
        x[np.arange(rows), rng.permutation(columns)[:rows]] = rng.choice([-1.0, 1.0], size=rows)
        return x

    return _turned(shape, entries)


def repeated(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """The first half of the rows of a signed permutation times 4: two singular values, both repeated exactly."""
    x = isometry(rng, shape, scales)
    return x * np.where(np.arange(len(x)) < (len(x) + 1) // 2, 4.0, 1.0).reshape(-1, *(1,) * (x.ndim - 1))


def rank_one(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """Products of small integers: all singular values but one are exactly 0."""
    return _turned(shape, lambda rows, columns: np.outer(rng.integers(1, 4, rows), rng.integers(-3, 0, columns)) / 1.0)


def near_singular(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
    """The last row is the first but for a 64th: one singular value is far below the others, and not 0."""

    def entries(rows: int, columns: int) -> Array:
        x = rng.standard_normal((rows, columns))
        if rows > 1:
            x[-1] = x[0] + x[-1] / 64
        return x

    return _turned(shape, entries)


def scaled(by: str) -> Callable[[np.random.Generator, Shape, Scales], Array]:
    """Normal numbers kept off zero, multiplied by one of the dtype's scales."""

    def make(rng: np.random.Generator, shape: Shape, scales: Scales) -> Array:
        return getattr(scales, by) * rng.choice([-1.0, 1.0], size=shape) * (0.5 + np.abs(rng.standard_normal(shape)))

    return make


@dataclass(frozen=True)
class InputClass:
    """How the numbers are made, and what is done to the shape of the target."""

    make: Callable[[np.random.Generator, Shape, Scales], Array]
    reshape: Callable[[Shape], Shape] = lambda shape: shape
    strided: bool = False


CLASSES: dict[str, InputClass] = {
    "normal": InputClass(normal),
    "ties": InputClass(ties),
    "zero": InputClass(zero),
    "wide": InputClass(wide),
    "huge": InputClass(scaled("huge")),
    "tiny": InputClass(scaled("tiny")),
    "overflow": InputClass(scaled("overflow")),
    "underflow": InputClass(scaled("underflow")),
    "strided": InputClass(normal, strided=True),
    "empty-first": InputClass(normal, reshape=lambda shape: (0, *shape[1:])),
    "empty-last": InputClass(normal, reshape=lambda shape: (*shape[:-1], 0)),
    "one": InputClass(normal, reshape=lambda shape: (1,) * len(shape)),
    "unit": InputClass(unit),
    "repeated": InputClass(repeated),
    "isometry": InputClass(isometry),
    "rank-one": InputClass(rank_one),
    "near-singular": InputClass(near_singular),
}

SPECIAL = ("unit", "repeated", "isometry", "rank-one", "near-singular")
"""Classes that only the penalties meet which name them."""


def numbers(input_class: str, shape: Shape, dtype: str, seed: int) -> Array:
    """The array of a class: the same draws for every dtype, rounded to it."""
    kind = CLASSES[input_class]
    rng = np.random.default_rng(seed)
    return round_to(kind.make(rng, kind.reshape(shape), SCALES[dtype]), dtype)


def mask(shape: Shape, seed: int) -> np.ndarray:
    """A mask of which something counts and something does not; along the first axis one slice does not count at all."""
    rng = np.random.default_rng(seed)
    where = rng.random(shape) < 0.6
    where[0] = False
    where[-1, ...] |= np.arange(where[-1].size).reshape(where[-1].shape) == 0
    return where
