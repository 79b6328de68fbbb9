"""Penalties that are sums over elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .._arrays import abs0, accumulate, masked
from .._spec.layout import Axes
from ..penalty import Penalty


@dataclass(frozen=True)
class Elementwise(Penalty):
    """A sum over elements of a function that is 0 at 0: additive on any axes, and needs to know none of them."""

    def additive(self, axes: Axes) -> bool:
        return True


@dataclass(frozen=True)
class L1(Elementwise):
    r"""Sum of absolute values; drives single elements to zero.

    .. math:: \Omega(x) = \lambda \sum_i \lvert x_i \rvert

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at 0; :math:`\lambda\,\mathrm{sign}(x)` elsewhere.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite.

    Source:
        Tibshirani (1996), equation 1, as a penalty.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        return self.strength * abs0(masked(accumulate(x), where)).sum()


@dataclass(frozen=True)
class L2(Elementwise):
    r"""Sum of squares, without a factor of one half; optimizer weight decay :math:`\lambda` is ``L2(lambda / 2)``.

    .. math:: \Omega(x) = \lambda \sum_i x_i^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`2 \lambda x`.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite.

    Source:
        Hoerl and Kennard (1970), after; the form without one half is that of Keras.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        return self.strength * (masked(accumulate(x), where) ** 2).sum()


@dataclass(frozen=True)
class ElasticNet(Elementwise):
    r"""Sum of absolute values and sum of squares, each with a coefficient of its own.

    .. math:: \Omega(x) = \lambda_1 \sum_i \lvert x_i \rvert + \lambda_2 \sum_i x_i^2

    Args:
        l1: :math:`\lambda_1`, finite and >= 0.
        l2: :math:`\lambda_2`, finite and >= 0.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at 0; :math:`\lambda_1\,\mathrm{sign}(x) + 2 \lambda_2 x` elsewhere.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite.

    Source:
        Zou and Hastie (2005), equation 3.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("l1", "l2")

    l1: float
    l2: float

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        x = masked(accumulate(x), where)
        return self.l1 * abs0(x).sum() + self.l2 * (x**2).sum()
