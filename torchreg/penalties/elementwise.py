"""Penalties that are sums over elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from .._arrays import abs0, accumulate, masked
from .._spec.errors import coefficient
from .._spec.layout import Axes
from ..fused import elastic
from ..penalty import Penalty


@dataclass(frozen=True)
class Elementwise(Penalty):
    """A sum over elements of a function that is 0 at 0: additive on any axes, and needs to know none of them."""

    positive: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.positive:
            object.__setattr__(self, name, coefficient(type(self).__name__, name, getattr(self, name), positive=True))

    def additive(self, axes: Axes) -> bool:
        return True


def near_and_far(
    near: Tensor, x: Tensor, below: Callable[[Tensor], Tensor], above: Callable[[Tensor], Tensor]
) -> Tensor:
    """``below(x)`` where ``near``, ``above(x)`` elsewhere; a NaN is never near.

    Each sees 0 or 1 in place of what is the other's, so that what one overflows on is not in the other's gradient.
    """
    return torch.where(near, below(torch.where(near, x, 0.0)), above(torch.where(near, 1.0, x)))


def ratio(x: Tensor, unit: float) -> Tensor:
    """``x / unit``, whose square is in range where that of ``x`` or of ``unit`` is not."""
    return x / unit


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
        return elastic(masked(x, where), self.strength, None)


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
        return elastic(masked(x, where), None, self.strength)


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
        return elastic(masked(x, where), self.l1, self.l2)


def elastic_coefficients(penalty: Penalty) -> tuple[float | None, float | None] | None:
    """(l1, l2) of a penalty that is l1 Σ|x| + l2 Σx² of every array, whatever its axes; None for any other."""
    first = second = None
    for number, part in penalty.parts():
        if type(part) not in (L1, L2, ElasticNet):
            return None
        l1 = part.l1 if isinstance(part, ElasticNet) else part.strength if isinstance(part, L1) else None
        l2 = part.l2 if isinstance(part, ElasticNet) else part.strength if isinstance(part, L2) else None
        first = first if l1 is None else (first or 0.0) + number * l1
        second = second if l2 is None else (second or 0.0) + number * l2
    return first, second


def unscaled(penalty: Penalty) -> tuple[float, Penalty]:
    """A number and a penalty that together are this one: of an L1 or an L2 its coefficient and the bare sum, so that
    the sums of many arrays are multiplied once.
    """
    (number, part), *others = penalty.parts()
    if (type(part) is L1 or type(part) is L2) and not others:
        return number * part.strength, replace(part, strength=1.0)
    return 1.0, penalty


@dataclass(frozen=True)
class PseudoHuber(Elementwise):
    r"""A smooth L1: half a square near zero, a multiple of the absolute value far from it.

    .. math:: \Omega(x) = \lambda \sum_i \delta^2 \left(\sqrt{1 + (x_i / \delta)^2} - 1\right)

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        delta: :math:`\delta`, finite and > 0; where the square turns into the absolute value.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`\lambda x / \sqrt{1 + (x / \delta)^2}`; smooth everywhere.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``delta`` is 0.

    Source:
        Charbonnier et al. (1997), after.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)
    positive: ClassVar[tuple[str, ...]] = ("delta",)

    strength: float
    delta: float = 1.0

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        x = masked(accumulate(x), where)
        return self.strength * near_and_far(abs0(x) <= self.delta, x, self._square, self._slope).sum()

    def _square(self, x: Tensor) -> Tensor:
        return x * x / (1.0 + torch.sqrt(1.0 + ratio(x, self.delta) ** 2))

    def _slope(self, x: Tensor) -> Tensor:
        inverse = 1.0 / ratio(abs0(x), self.delta)
        return self.delta * abs0(x) / (torch.sqrt(1.0 + inverse**2) + inverse)


@dataclass(frozen=True)
class Saturation(Elementwise):
    r"""Sum of squares of what exceeds a limit; keeps elements within it and leaves those that are there alone.

    .. math:: \Omega(x) = \lambda \sum_i \max(\lvert x_i \rvert - c, 0)^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        limit: :math:`c`, finite and >= 0.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 up to the limit; :math:`2 \lambda\, \mathrm{sign}(x) (\lvert x \rvert - c)` beyond it.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite.

    Source:
        Nocedal and Wright (2006), section 17.1, after: the quadratic penalty of the constraint that the limit is.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength", "limit")

    strength: float
    limit: float

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        size = abs0(masked(accumulate(x), where))
        # Not max, which shares its gradient at the limit, and not size > limit, which would hide a NaN.
        excess = torch.where(size <= self.limit, 0.0, size - self.limit)
        return self.strength * (excess**2).sum()
