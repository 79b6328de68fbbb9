"""Arithmetic that means the same in both packages: accumulation dtype, kinks, masks, norms, canonical axes."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._spec.errors import sentence
from ._spec.layout import Axes, Move, require

DENSE = "a dense floating array"
BLOCK = 1 << 13
"""Elements of a row that one matrix product sums."""


def check_floating(where: str, argument: str, x: Any) -> None:
    """Refuses whatever is not a dense floating array: a penalty of integers or of complex numbers is not defined."""
    if not isinstance(x, Array | np.ndarray | np.generic):
        raise TypeError(sentence(where, argument, DENSE, type(x).__name__))
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(sentence(where, argument, DENSE, str(x.dtype)))


def is_floating(x: Any) -> bool:
    """Whether an output leaf is one that a penalty can be put on."""
    return isinstance(x, Array | np.ndarray) and bool(jnp.issubdtype(x.dtype, jnp.floating))


def accumulate(x: Array) -> Array:
    """``x`` in the dtype in which sums are taken and returned: float64 for float64, float32 for all narrower ones."""
    return jnp.asarray(x, jnp.float64 if x.dtype == jnp.float64 else jnp.float32)


def masked(x: Array, where: Array | None) -> Array:
    """``x`` with exact zeros, in value and gradient, where the mask leaves out; a NaN there is gone too."""
    return x if where is None else jnp.where(where, x, 0.0)


def as_mask(name: str, where: Any, x: Array) -> Array:
    """A mask over the leading axes of ``x`` as booleans of the rank of ``x``."""
    mask = jnp.asarray(where)
    if mask.shape != x.shape[: mask.ndim] or (mask.ndim == 0 and x.ndim > 0):
        expected = f"of the leading axes of an array of shape {tuple(x.shape)}"
        raise ValueError(sentence(name, "where", expected, tuple(mask.shape)))
    return (mask != 0).reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


@jax.custom_jvp
def abs0(x: Array) -> Array:
    """``|x|`` with gradient 0 at 0, where that of ``jnp.abs`` is 1.

    A select around it would do as well, but XLA does not fuse one into the sum and writes down an array as large as x.
    """
    return jnp.abs(x)


@abs0.defjvp
def _abs0_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return abs0(x), tangent * jnp.sign(x)


def total(x: Array, within: tuple[int, ...]) -> Array:
    """The sum over some axes; over none of them, ``x`` itself."""
    return x.sum(axis=within)


def count(shape: tuple[int, ...], within: tuple[int, ...], where: Array | None) -> Array | int:
    """How many elements are inside each group: a number without a mask, what the mask counts with one."""
    if where is None:
        return math.prod(shape[axis] for axis in within)
    return total(jnp.broadcast_to(where, shape).astype(jnp.int32), within)


def feature_vectors(name: str, x: Array, axes: Axes, where: Array | None) -> tuple[int, Array | int]:
    """The place of the feature axis, and how many feature vectors count: a mask leaves out whole ones."""
    feature = require(name, "feature", axes)
    if where is not None and where.shape[feature] != 1:
        expected = "a mask over samples and positions, not over features"
        raise ValueError(sentence(name, "where", expected, tuple(where.shape)))
    shape = tuple(1 if i == feature else size for i, size in enumerate(x.shape))
    return feature, count(shape, tuple(range(x.ndim)), where)


def at_least_one(number: Array | int) -> Array | int:
    """A count as a denominator."""
    return max(number, 1) if isinstance(number, int) else jnp.maximum(number, 1)


def largest(x: Array, within: tuple[int, ...]) -> Array:
    """``max|x|`` over some axes: 0 where there is nothing; a gradient is split evenly among the elements that tie.

    A masked element, made 0, ties only where all are 0, and there ``abs0`` has the gradient 0.
    """
    return total(x, within) if x.size == 0 else abs0(x).max(axis=within)


def safe_sqrt(s: Array) -> Array:
    """``sqrt(s)`` with value and gradient 0 at 0; it tests ``s == 0``, not ``s > 0``, so that a NaN survives."""
    zero = s == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, s)))


def safe_divide(a: Array, b: Array) -> Array:
    """``a / b`` with value and gradient 0 where ``b`` is 0."""
    zero = b == 0
    return jnp.where(zero, 0.0, a / jnp.where(zero, 1.0, b))


def magnitude(x: Array, within: tuple[int, ...], least: float = 0.0) -> Array:
    """A power of two near ``max|x|`` of each group, of the rank of ``x``: dividing by it is exact, and squares stay
    inside the range of the dtype. It is near 1 for a group that is zero, empty or not finite, and carries no gradient.
    ``least``, a power of two, is a bound from below, for formulas that add a constant to the squares.
    """
    largest = jnp.max(jnp.abs(lax.stop_gradient(x)), axis=within, keepdims=True, initial=0.0)
    usable = jnp.isfinite(largest) & (largest > 0)
    largest = jnp.where(usable, largest, 1.0)
    tiny = float(jnp.finfo(x.dtype).tiny)
    return jnp.clip(largest / jnp.frexp(largest)[0], max(4 * tiny, least), 0.25 / tiny)


def norm(x: Array, within: tuple[int, ...], least: float = 0.0) -> Array:
    """The 2-norm over some axes: 0 with gradient 0 at a zero group, right for any magnitude the dtype can hold.

    The gradient of ``jnp.linalg.norm`` is NaN at zero, and its square overflows where the norm does not.
    """
    scale = magnitude(x, within, least)
    root = safe_sqrt(total((x / scale) ** 2, within))
    return root * scale.squeeze(within)


def matrix(x: Array, out: int) -> Array:
    """``x`` as a matrix: one row per output, everything else flattened."""
    rows = jnp.moveaxis(x, out, 0)
    return rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))


def gram(rows: Array) -> Array:
    """All products of rows, in the full precision of the dtype on every device. Those of long ones are summed block by
    block: on a CPU a matrix product may be one running sum, in which the smallest of many squares are rounded away.

    A block has elements from all over a row, so that a batch that is split over devices stays where it is; for that the
    length of a block is to be a multiple of many.
    """
    count, length = rows.shape
    least = -(-length // max(BLOCK, count))
    if least <= 1:
        return _products(rows)
    number = min(range(least, 2 * least + 1), key=lambda n: (length % n > 0, -(length // n & -(length // n))))
    whole = length - length % number
    products = _products(rows[:, :whole].reshape(count, -1, number).transpose(2, 0, 1)).sum(0)
    return products if whole == length else products + _products(rows[:, whole:])


def _products(rows: Array) -> Array:
    return jnp.matmul(rows, rows.mT, precision=jax.lax.Precision.HIGHEST)


def pieces(x: Array, how: Move) -> list[Array]:
    """The canonical pieces of a native array."""
    if how.is_identity:
        return [x]
    if how.shape is not None:
        x = x.reshape(how.shape)
    moved = jnp.transpose(x, how.permutation)
    split = len(how.pieces)
    lead, rest = moved.shape[:split], [math.prod(x.shape[axis] for axis in merged) for merged in how.sources]
    moved = moved.reshape(math.prod(lead), *rest)
    return list(moved) if split else [moved[0]]
