"""Penalties of groups of elements that axes index: whole groups to zero, or elements within them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from .._arrays import abs0, accumulate, count, largest, masked, norm, total
from .._spec.errors import flag, sentence
from .._spec.layout import Axes, check_groups, inside
from ..penalty import Penalty


@dataclass(frozen=True)
class Grouped(Penalty):
    """A sum over groups: a sum over samples only where the sample is among the axes that index them."""

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float
    groups: str | tuple[str, ...] = "out"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "groups", check_groups(type(self).__name__, self.groups))

    def additive(self, axes: Axes) -> bool:
        return "sample" in self.groups

    def _within(self, axes: Axes) -> tuple[int, ...]:
        return inside(type(self).__name__, tuple(self.groups), axes)


@dataclass(frozen=True)
class GroupLasso(Grouped):
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

    size_weighted: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        flag("GroupLasso", "size_weighted", self.size_weighted)

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        return self.strength * _norms(masked(accumulate(x), where), self._within(axes), where, self.size_weighted)


@dataclass(frozen=True)
class SparseGroupLasso(Grouped):
    r"""Sum of group norms and sum of absolute values; drives whole groups to zero, and elements of those that stay.

    .. math::
        \Omega(x) = \lambda \Big( (1 - \alpha) \sum_g \sqrt{n_g}\, \lVert x_g \rVert_2
        + \alpha \sum_i \lvert x_i \rvert \Big)

    On an activation it is a sum over samples only where ``"sample"`` is among the groups. With ``groups="feature"`` it
    is not, although the absolute values alone would be, and then no ``per`` divides it.

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        groups: the canonical axis, or axes, that index the groups, as for :class:`GroupLasso`.
        alpha: :math:`\alpha`, from 0, the group lasso, to 1, the sum of absolute values.
        size_weighted: whether the factor :math:`\sqrt{n_g}` is there, :math:`n_g` the elements of the group.

    Shapes:
        ``x``: canonical layout, rank >= 1, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 on a group that is exactly zero, and at an element that is 0;
        :math:`\lambda((1 - \alpha)\sqrt{n_g}\, x_g / \lVert x_g \rVert_2 + \alpha\,\mathrm{sign}(x))` elsewhere.

    Raises:
        TypeError: ``strength`` or ``alpha`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``alpha`` is not in [0, 1], or ``groups`` does not fit
            ``x``.

    Source:
        Simon, Friedman, Hastie and Tibshirani (2013), after.
    """

    alpha: float = 0.5
    size_weighted: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "alpha", _share("SparseGroupLasso", "alpha", self.alpha))
        flag("SparseGroupLasso", "size_weighted", self.size_weighted)

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        within = self._within(axes)
        x = masked(accumulate(x), where)
        if self.alpha == 1:  # a part that is left out must not bring in 0 times infinity
            return self.strength * abs0(x).sum()
        norms = _norms(x, within, where, self.size_weighted)
        if self.alpha == 0:
            return self.strength * norms
        return self.strength * ((1 - self.alpha) * norms + self.alpha * abs0(x).sum())


@dataclass(frozen=True)
class ExclusiveLasso(Grouped):
    r"""Sum of squared group 1-norms; lets the elements of a group compete, so that few in each remain.

    .. math:: \Omega(x) = \frac{\lambda}{2} \sum_g \Big( \sum_{i \in g} \lvert x_i \rvert \Big)^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        groups: the canonical axis, or axes, that index the groups, as for :class:`GroupLasso`.

    Shapes:
        ``x``: canonical layout, rank >= 1, floating. Result: scalar, float32 (float64 for float64); infinite where the
        square of a 1-norm is beyond its range, which the gradient does not mind.

    Gradient:
        0 at 0; :math:`\lambda\, \lVert x_g \rVert_1\, \mathrm{sign}(x)` elsewhere.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, or ``groups`` does not fit ``x``.

    Source:
        Zhou, Jin and Hoi (2010), after; the factor one half is that of Campbell and Allen (2017), after.
    """

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        sums = total(abs0(masked(accumulate(x), where)), self._within(axes))
        return 0.5 * self.strength * (sums**2).sum()


@dataclass(frozen=True)
class GroupLinf(Grouped):
    r"""Sum of the largest absolute values of groups; drives whole groups to zero, and the elements of one to one size.

    .. math:: \Omega(x) = \lambda \sum_g \max_{i \in g} \lvert x_i \rvert

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        groups: the canonical axis, or axes, that index the groups, as for :class:`GroupLasso`.

    Shapes:
        ``x``: canonical layout, rank >= 1, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`\lambda\,\mathrm{sign}(x) / k` at the :math:`k` elements that tie for the largest of a group, 0 at all
        others and on a group that is exactly zero.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, or ``groups`` does not fit ``x``.

    Source:
        Turlach, Venables and Wright (2005), after.
    """

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        return self.strength * largest(masked(accumulate(x), where), self._within(axes)).sum()


def _share(where: str, argument: str, value: Any) -> float:
    """A Python number from 0 to 1, both included, as a float."""
    expected = "a number >= 0 and <= 1"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(sentence(where, argument, expected, value))
    if not 0 <= float(value) <= 1:
        raise ValueError(sentence(where, argument, expected, value))
    return float(value)


def _norms(x: Array, within: tuple[int, ...], where: Array | None, size_weighted: bool) -> Array:
    """The sum of the 2-norms of all groups, each times the root of how many of its elements count, or not."""
    norms = norm(x, within)
    if size_weighted:
        size = count(tuple(x.shape), within, where)
        norms = norms * (math.sqrt(size) if isinstance(size, int) else jnp.sqrt(size.astype(norms.dtype)))
    return norms.sum()
