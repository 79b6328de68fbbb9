"""Penalties of a matrix, from the lengths and products of its rows: one row per output, everything else flattened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

import torch
from torch import Tensor

from .._arrays import abs0, accumulate, gram, magnitude, masked, matrix, norm, safe_divide
from .._spec.errors import choice
from .._spec.layout import Axes, require
from ..penalty import Penalty
from ._matrices import SIDES, by_side, largest_of_ties, least, slack


@dataclass(frozen=True)
class Orthogonal(Penalty):
    r"""Squared distance of a Gram matrix from the identity; drives filters to be orthonormal.

    .. math:: \Omega(W) = \lambda\, \lVert G - I \rVert_F^2, \qquad G = W W^\top \text{ or } W^\top W

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        side: the Gram matrix: ``"out"`` :math:`W W^\top`, ``"in"`` :math:`W^\top W`, ``"min"`` the smaller of the two
            (``"out"`` for a square), ``"both"`` the sum of both terms. A side larger than the rank of the matrix
            cannot reach 0: its floor is the difference.

    Shapes:
        ``x``: canonical layout with an ``out`` axis, seen as ``(out, everything else)``, floating. Result: scalar,
        float32 (float64 for float64).

    Gradient:
        :math:`4 \lambda (W W^\top - I) W` for ``"out"``; smooth everywhere.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``side`` is unknown, ``x`` has no ``out`` axis, or a mask
            is given.

    Source:
        Bansal et al. (2018), the soft orthogonality and, for ``"both"``, double soft orthogonality penalties.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float
    side: str = "min"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("Orthogonal", "side", self.side, SIDES)

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        w = matrix(accumulate(x), require("Orthogonal", "out", axes))
        if w.numel() == 0:
            return self.strength * w.sum()
        distances = [_distance(rows) for rows in by_side(w, self.side)]
        return self.strength * reduce(add, distances)

    def honours_masks(self) -> bool:
        return False


@dataclass(frozen=True)
class CosineOrthogonal(Penalty):
    r"""Mean absolute cosine between the rows of a matrix; drives filters apart in direction, whatever their lengths.

    .. math:: \Omega(W) = \frac{\lambda}{m (m - 1) / 2} \sum_{i < j} \lvert \cos(w_i, w_j) \rvert

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        side: whose cosines: ``"out"`` of the :math:`m` rows, ``"in"`` of the columns, ``"min"`` of the fewer of the two
            (``"out"`` for a square), ``"both"`` the sum of both terms. A side with more vectors than the rank of the
            matrix cannot reach 0.

    Shapes:
        ``x``: canonical layout with an ``out`` axis, seen as ``(out, everything else)``, floating. Result: scalar,
        float32 (float64 for float64).

    Gradient:
        0 for a pair that is orthogonal. A zero row has the cosine 0 with every other, and the gradient 0; its pairs
        count in the mean. One row alone costs 0.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``side`` is unknown, ``x`` has no ``out`` axis, or a mask
            is given.

    Source:
        The ``OrthogonalRegularizer`` of Keras, with ``side="out"`` for its rows and ``"in"`` for its columns.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float
    side: str = "out"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("CosineOrthogonal", "side", self.side, SIDES)

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        w = matrix(accumulate(x), require("CosineOrthogonal", "out", axes))
        return self.strength * reduce(add, [_mean_cosine(rows) for rows in by_side(w, self.side)])

    def honours_masks(self) -> bool:
        return False


@dataclass(frozen=True)
class MutualCoherence(Penalty):
    r"""Largest absolute cosine between two rows of a matrix; drives apart the two filters that are most alike.

    .. math:: \Omega(W) = \lambda \max_{i \neq j} \lvert \cos(w_i, w_j) \rvert

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        side: whose cosines: ``"out"`` of the rows, ``"in"`` of the columns, ``"min"`` of the fewer of the two
            (``"out"`` for a square), ``"both"`` the sum of both terms. A side with more vectors than the rank of the
            matrix cannot reach 0.

    Shapes:
        ``x``: canonical layout with an ``out`` axis, seen as ``(out, everything else)``, floating. Result: scalar,
        float32 (float64 for float64).

    Gradient:
        The mean of the gradients of all pairs :math:`i < j` that reach the maximum, within what rounding can tell
        apart: a member of the generalized gradient, though where rows are shared not always its shortest. 0 where
        all pairs are orthogonal, and for a zero row, which has the cosine 0 with every other. One row alone costs 0.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``side`` is unknown, ``x`` has no ``out`` axis, or a mask
            is given.

    Source:
        Bansal et al. (2018), the mutual coherence penalty.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float
    side: str = "min"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("MutualCoherence", "side", self.side, SIDES)

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        w = matrix(accumulate(x), require("MutualCoherence", "out", axes))
        return self.strength * reduce(add, [_largest_cosine(rows) for rows in by_side(w, self.side)])

    def honours_masks(self) -> bool:
        return False


@dataclass(frozen=True)
class MaxNorm(Penalty):
    r"""Squared excess of row norms over a limit; holds the filters inside a ball, and leaves alone those that are.

    .. math:: \Omega(W) = \lambda \sum_i \max(\lVert w_i \rVert_2 - c, 0)^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        limit: :math:`c`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with an ``out`` axis, seen as ``(out, everything else)``, floating. Result: scalar,
        float32 (float64 for float64).

    Gradient:
        0 up to the limit, :math:`2 \lambda (\lVert w_i \rVert_2 - c)\, w_i / \lVert w_i \rVert_2` beyond it.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``x`` has no ``out`` axis.

    Source:
        After the max-norm constraint of Srivastava et al. (2014), as a penalty in place of a projection.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength", "limit")

    strength: float
    limit: float

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        out = require("MaxNorm", "out", axes)
        x = masked(accumulate(x), where)
        norms = norm(x, tuple(i for i in range(x.ndim) if i != out), least(x))
        excess = norms - self.limit
        return self.strength * (torch.where(excess <= 0, 0.0, excess) ** 2).sum()


def _distance(rows: Tensor) -> Tensor:
    products = gram(rows)
    identity = torch.eye(len(products), dtype=products.dtype, device=products.device)
    return ((products - identity) ** 2).sum()


def _cosines(rows: Tensor) -> Tensor:
    """The absolute cosines of all pairs, above the diagonal; products come before the division by lengths, so that
    those of orthogonal rows of small integers are exactly 0.
    """
    rows = rows / magnitude(rows, (1,))
    lengths = norm(rows, (1,))
    return abs0(safe_divide(gram(rows), lengths[:, None] * lengths).triu(1))


def _mean_cosine(rows: Tensor) -> Tensor:
    if rows.numel() == 0 or len(rows) == 1:
        return (0.0 * rows).sum()
    return _cosines(rows).sum() / math.comb(len(rows), 2)


def _largest_cosine(rows: Tensor) -> Tensor:
    if rows.numel() == 0 or len(rows) == 1:
        return (0.0 * rows).sum()
    cosines = _cosines(rows)
    known = cosines.detach()
    tied = ~(known < known.amax() * (1 - slack(rows)))
    return largest_of_ties(cosines, tied, torch.ones_like(known))
