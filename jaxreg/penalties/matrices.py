"""Penalties of a matrix: one row per output, everything else flattened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from .._arrays import accumulate, gram, matrix
from .._spec.errors import choice
from .._spec.layout import Axes, require
from ..penalty import Penalty

SIDES = ("out", "in", "min", "both")


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

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        w = matrix(accumulate(x), require("Orthogonal", "out", axes))
        if w.size == 0:
            return self.strength * w.sum()
        smaller = "out" if w.shape[0] <= w.shape[1] else "in"
        sides = {"min": (smaller,), "both": ("out", "in")}.get(self.side, (self.side,))
        distances = [_distance(w if side == "out" else w.T) for side in sides]
        return self.strength * reduce(add, distances)

    def honours_masks(self) -> bool:
        return False


def _distance(rows: Array) -> Array:
    products = gram(rows)
    identity = jnp.eye(len(products), dtype=products.dtype)
    return ((products - identity) ** 2).sum()
