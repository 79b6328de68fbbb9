"""Penalties of the differences between neighbouring positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

from jax import Array

from .._arrays import abs0, accumulate, masked
from .._spec.layout import Axes, activation_axes, family, require
from ..penalty import Penalty

Summand = tuple[tuple[int, ...], Array | None]


@dataclass(frozen=True)
class Differences(Penalty):
    """A sum over differences of neighbours along position axes: additive, and ``per`` counts the differences."""

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    def _along(self, axes: Axes) -> tuple[int, ...]:
        """The places of the axes that differences are taken along: all positions, in the order of their names."""
        places = sorted(family("position", axes), key=lambda place: int(axes[place][1:]))
        return tuple(places) or (require(type(self).__name__, "p0", axes),)

    def additive(self, axes: Axes) -> bool:
        return True

    def default_axes(self, rank: int) -> Axes:
        return activation_axes(rank)

    def summands(self, shape: tuple[int, ...], axes: Axes, where: Array | None) -> list[Summand]:
        return [
            ((*shape[:axis], max(shape[axis] - 1, 0), *shape[axis + 1 :]), _both_ends(where, shape, axis))
            for axis in self._along(axes)
        ]


@dataclass(frozen=True)
class TemporalL2(Differences):
    r"""Sum of squared differences between neighbouring steps; drives activations to change slowly.

    .. math:: \Omega(x) = \lambda \sum_t \lVert x_{t+1} - x_t \rVert_2^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with a position axis, the first of which is time, floating; a single step costs 0. A
        difference counts where a mask lets both of its ends count; ``per="position"`` and ``per="element"`` count
        differences. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`2 \lambda (x_t - x_{t-1}) - 2 \lambda (x_{t+1} - x_t)`; smooth everywhere.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, or ``x`` has no position axis.

    Source:
        Merity, McCann and Socher (2017), temporal activation regularization, with ``per="element"``.
    """

    strength: float

    def _along(self, axes: Axes) -> tuple[int, ...]:
        return super()._along(axes)[:1]

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        x = masked(accumulate(x), where)
        return self.strength * reduce(add, [(_steps(x, where, axis) ** 2).sum() for axis in self._along(axes)])


@dataclass(frozen=True)
class TotalVariation(Differences):
    r"""Sum of absolute differences between neighbouring positions; drives activations to be piecewise constant.

    .. math:: \Omega(x) = \lambda \sum_a \sum_p \lvert x_{p + e_a} - x_p \rvert

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with position axes :math:`a`, each of which has its own sum (anisotropic), floating; a
        single position costs 0. A difference counts where a mask lets both of its ends count; ``per="position"`` and
        ``per="element"`` count differences. Result: scalar, float32 (float64 for float64).

    Gradient:
        Each difference gives :math:`\lambda\,\mathrm{sign}` of itself to its later end and the opposite to its earlier
        end; a difference of 0 gives 0.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, or ``x`` has no position axis.

    Source:
        Rudin, Osher and Fatemi (1992), after; the anisotropic form.
    """

    strength: float

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        x = masked(accumulate(x), where)
        return self.strength * reduce(add, [abs0(_steps(x, where, axis)).sum() for axis in self._along(axes)])


def _steps(x: Array, where: Array | None, axis: int) -> Array:
    """The differences of neighbours along an axis, zero where an end does not count."""
    earlier, later = _ends(axis)
    return masked(x[later] - x[earlier], _both_ends(where, tuple(x.shape), axis))


def _both_ends(where: Array | None, shape: tuple[int, ...], axis: int) -> Array | None:
    """The mask of the differences; one that does not reach the axis says the same of both ends."""
    if where is None or where.shape[axis] != shape[axis]:
        return where
    earlier, later = _ends(axis)
    return where[earlier] & where[later]


def _ends(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """All but the last along an axis, and all but the first."""
    before = (slice(None),) * axis
    return (*before, slice(None, -1)), (*before, slice(1, None))
