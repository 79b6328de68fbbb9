"""Penalties of whole groups: norms of the array and of the groups that axes index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from .._arrays import accumulate, count, masked, norm
from .._spec.errors import flag
from .._spec.layout import Axes, check_groups, inside
from ..penalty import Penalty


@dataclass(frozen=True)
class L2Norm(Penalty):
    r"""The unsquared 2-norm of the whole array: one group; drives the whole array to zero.

    .. math:: \Omega(x) = \lambda\, \lVert x \rVert_2

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at the zero array; :math:`\lambda x / \lVert x \rVert_2` elsewhere.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite.

    Source:
        Yuan and Lin (2006), section 2, with one group and no size weight.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        return self.strength * norm(masked(accumulate(x), where), tuple(range(x.ndim)))


@dataclass(frozen=True)
class GroupLasso(Penalty):
    r"""Sum of group norms; drives whole groups to zero.

    .. math:: \Omega(x) = \lambda \sum_g \sqrt{n_g}\, \lVert x_g \rVert_2

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        groups: the canonical axis, or axes, that index the groups: ``"out"``, ``"in"``, ``"kernel"`` (all kernel
            axes), ``"sample"``, ``"position"`` (all positions), ``"feature"``; all other axes run inside a group.
        size_weighted: whether the factor :math:`\sqrt{n_g}` is there, :math:`n_g` the elements of the group.

    Shapes:
        ``x``: canonical layout, rank >= 1, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 on a group that is exactly zero; :math:`\lambda\sqrt{n_g}\, x_g / \lVert x_g \rVert_2` elsewhere.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, or ``groups`` does not fit ``x``.

    Source:
        Yuan and Lin (2006), section 2; without the size weight Wen et al. (2016), section 3.1.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float
    groups: str | tuple[str, ...] = "out"
    size_weighted: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "groups", check_groups("GroupLasso", self.groups))
        flag("GroupLasso", "size_weighted", self.size_weighted)

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        within = inside("GroupLasso", tuple(self.groups), axes)
        norms = norm(masked(accumulate(x), where), within)
        if self.size_weighted:
            size = count(tuple(x.shape), within, where)
            norms = norms * (math.sqrt(size) if isinstance(size, int) else jnp.sqrt(size.astype(norms.dtype)))
        return self.strength * norms.sum()

    def additive(self, axes: Axes) -> bool:
        return "sample" in self.groups
