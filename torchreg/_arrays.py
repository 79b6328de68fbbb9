"""Arithmetic that means the same in both packages: accumulation dtype, kinks, masks, norms, canonical axes."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ._spec.errors import sentence
from ._spec.layout import Axes, Move, require

DENSE = "a dense floating array"
WIDE = (torch.float32, torch.float64)
"""The dtypes of accumulation."""
BLOCK = 1 << 13
"""Elements of a row that one matrix product sums."""


def check_floating(where: str, argument: str, x: Any) -> None:
    """Refuses whatever is not a dense floating array: a penalty of integers or of complex numbers is not defined."""
    if not isinstance(x, Tensor):
        raise TypeError(sentence(where, argument, DENSE, type(x).__name__))
    if not x.is_floating_point():
        raise TypeError(sentence(where, argument, DENSE, str(x.dtype).removeprefix("torch.")))
    if x.layout != torch.strided:
        raise TypeError(sentence(where, argument, DENSE, str(x.layout).removeprefix("torch.")))


def is_floating(x: Any) -> bool:
    """Whether an output leaf is one that a penalty can be put on."""
    return isinstance(x, Tensor) and x.is_floating_point()


def accumulate(x: Tensor) -> Tensor:
    """``x`` in the dtype in which sums are taken and returned: float64 for float64, float32 for all narrower ones."""
    return x if x.dtype in WIDE else x.to(torch.float32)


def full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Switches autocast off, which would round matrix products to 16 bits after the upcast."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def masked(x: Tensor, where: Tensor | None) -> Tensor:
    """``x`` with exact zeros, in value and gradient, where the mask leaves out; a NaN there is gone too."""
    return x if where is None else torch.where(where, x, 0.0)


def as_mask(name: str, where: Any, x: Tensor) -> Tensor:
    """A mask over the leading axes of ``x`` as booleans of the rank of ``x``."""
    mask = where if isinstance(where, Tensor) else torch.as_tensor(where)
    if tuple(mask.shape) != tuple(x.shape[: mask.ndim]) or (mask.ndim == 0 and x.ndim > 0):
        expected = f"of the leading axes of an array of shape {tuple(x.shape)}"
        raise ValueError(sentence(name, "where", expected, tuple(mask.shape)))
    return (mask != 0).to(x.device).reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


def abs0(x: Tensor) -> Tensor:
    """``|x|`` with gradient 0 at 0."""
    return x.abs()


def total(x: Tensor, within: tuple[int, ...]) -> Tensor:
    """The sum over some axes; over none of them, ``x`` itself (``dim=()`` would mean all)."""
    return x.sum(dim=within) if within else x


def count(shape: tuple[int, ...], within: tuple[int, ...], where: Tensor | None) -> Tensor | int:
    """How many elements are inside each group: a number without a mask, what the mask counts with one."""
    if where is None:
        return math.prod([shape[axis] for axis in within])
    return total(where.expand(shape).to(torch.int64), within)


def feature_vectors(name: str, x: Tensor, axes: Axes, where: Tensor | None) -> tuple[int, Tensor | int]:
    """The place of the feature axis, and how many feature vectors count: a mask leaves out whole ones."""
    feature = require(name, "feature", axes)
    if where is not None and where.shape[feature] != 1:
        expected = "a mask over samples and positions, not over features"
        raise ValueError(sentence(name, "where", expected, tuple(where.shape)))
    shape = tuple(1 if i == feature else size for i, size in enumerate(x.shape))
    return feature, count(shape, tuple(range(x.ndim)), where)


def at_least_one(number: Tensor | int) -> Tensor | int:
    """A count as a denominator."""
    return max(number, 1) if isinstance(number, int) else number.clamp(min=1)


def largest(x: Tensor, within: tuple[int, ...]) -> Tensor:
    """``max|x|`` over some axes: 0 where there is nothing; a gradient is split evenly among the elements that tie.

    A masked element, made 0, ties only where all are 0, and there ``abs`` has the gradient 0.
    """
    if x.numel() == 0:
        return total(x, within)
    return x.abs().amax(dim=within) if within else x.abs()


def safe_sqrt(s: Tensor) -> Tensor:
    """``sqrt(s)`` with value and gradient 0 at 0; it tests ``s == 0``, not ``s > 0``, so that a NaN survives."""
    zero = s == 0
    return torch.where(zero, 0.0, torch.sqrt(torch.where(zero, 1.0, s)))


def safe_divide(a: Tensor, b: Tensor) -> Tensor:
    """``a / b`` with value and gradient 0 where ``b`` is 0."""
    zero = b == 0
    return torch.where(zero, 0.0, a / torch.where(zero, 1.0, b))


def magnitude(x: Tensor, within: tuple[int, ...], least: float = 0.0) -> Tensor:
    """A power of two near ``max|x|`` of each group, of the rank of ``x``: dividing by it is exact, and squares stay
    inside the range of the dtype. It is near 1 for a group that is zero, empty or not finite, and carries no gradient.
    ``least``, a power of two, is a bound from below, for formulas that add a constant to the squares.
    """
    x = x.detach().abs()
    if x.numel() == 0:
        return torch.ones_like(x.sum(dim=within, keepdim=True) if within else x)
    largest = x.amax(dim=within, keepdim=True) if within else x
    usable = torch.isfinite(largest) & (largest > 0)
    largest = torch.where(usable, largest, 1.0)
    tiny = torch.finfo(x.dtype).tiny
    return (largest / torch.frexp(largest).mantissa).clamp(max(4 * tiny, least), 0.25 / tiny)


def norm(x: Tensor, within: tuple[int, ...], least: float = 0.0) -> Tensor:
    """The 2-norm over some axes: 0 with gradient 0 at a zero group, right for any magnitude the dtype can hold.

    ``torch.linalg.vector_norm`` is not used: on the CPU it accumulates naively (0.6 % off at ten million elements).
    """
    scale = magnitude(x, within, least)
    root = safe_sqrt(total((x / scale) ** 2, within))
    return root * (scale.squeeze(within) if within else scale)


def matrix(x: Tensor, out: int) -> Tensor:
    """``x`` as a matrix: one row per output, everything else flattened."""
    rows = x.movedim(out, 0)
    return rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))


def gram(rows: Tensor) -> Tensor:
    """All products of rows. Those of long ones are summed block by block: on a CPU a matrix product may be one running
    sum, in which the smallest of many squares are rounded away.
    """
    blocks = rows.split(max(BLOCK, len(rows)), 1)
    products = [block @ block.mT for block in blocks]
    return products[0] if len(products) == 1 else torch.stack(products).sum(0)


def pieces(x: Tensor, how: Move) -> list[Tensor]:
    """The canonical pieces of a native array; views where the strides allow."""
    if how.is_identity:
        return [x]
    if how.shape is not None:
        x = x.reshape(how.shape)
    moved = x.permute(how.permutation)
    split = len(how.pieces)
    if not split and len(how.sources) == x.ndim:
        return [moved]
    lead, rest = moved.shape[:split], [math.prod([x.shape[axis] for axis in merged]) for merged in how.sources]
    return list(moved.reshape(math.prod(lead), *rest).unbind(0)) if split else [moved.reshape(rest)]
