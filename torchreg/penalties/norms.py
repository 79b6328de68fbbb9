"""Norms of the whole array: one group, not squared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .._arrays import accumulate, largest, masked, norm
from .._spec.layout import Axes
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

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        return self.strength * norm(masked(accumulate(x), where), tuple(range(x.ndim)))


@dataclass(frozen=True)
class LinfNorm(Penalty):
    r"""The largest absolute value of the whole array; drives the largest elements down, whatever the others are.

    .. math:: \Omega(x) = \lambda\, \lVert x \rVert_\infty = \lambda \max_i \lvert x_i \rvert

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`\lambda\,\mathrm{sign}(x) / k` at the :math:`k` elements that tie for the largest, 0 at all others and
        at the zero array.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite.

    Source:
        Boyd and Vandenberghe (2004), section 2.2.3, the norm; Turlach, Venables and Wright (2005), after, with one
        group.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        return self.strength * largest(masked(accumulate(x), where), tuple(range(x.ndim)))
