"""Penalties that are sums over elements and grow ever more slowly: nearer to counting than L1 is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from .._arrays import abs0, accumulate, masked
from .._spec.errors import coefficient, sentence
from .._spec.layout import Axes
from .elementwise import Elementwise, near_and_far, ratio

# Note [Near and far]
# Each formula is written in two ways, one for elements near zero and one for those far from it, because no single one
# is right for both: where the value is a small number it must not be the difference of large ones, where the gradient
# is small it must not be, and neither may need a power beyond the range of the dtype.


@dataclass(frozen=True)
class Lp(Elementwise):
    r"""Sum of powers of absolute values, made smooth at zero by a constant; for p < 1 nearer to counting than L1 is.

    .. math:: \Omega(x) = \lambda \sum_i \left((x_i^2 + \varepsilon)^{p/2} - \varepsilon^{p/2}\right)

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        p: the power, finite and > 0.
        eps: :math:`\varepsilon`, finite and >= 0; it must be > 0 for p < 2 other than 1, whose gradient or curvature
            is infinite at 0 without it. It is of the size of a square: :math:`\sqrt{\varepsilon}` is the element
            below which the penalty is smoothed.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at 0; :math:`\lambda p\, x (x^2 + \varepsilon)^{p/2 - 1}` elsewhere.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, ``p`` is 0, ``eps`` is 0 where it must not be, or
            :math:`\varepsilon^{p/2}` is not finite.

    Source:
        Chartrand and Yin (2008), after.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength", "eps")
    positive: ClassVar[tuple[str, ...]] = ("p",)

    strength: float
    p: float
    eps: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p < 2 and self.p != 1:
            coefficient(f"Lp with p = {self.p!r}", "eps", self.eps, positive=True)
        try:
            math.pow(self.eps, self.p / 2)
        except OverflowError:
            raise ValueError(sentence("Lp", "eps", "such that eps ** (p / 2) is finite", self.eps)) from None

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        x = masked(accumulate(x), where)
        if self.p == 2:  # eps cancels
            return self.strength * (x**2).sum()
        if self.eps == 0:
            return self.strength * (abs0(x) if self.p == 1 else abs0(x) ** self.p).sum()
        # From e times its constant on the power is not lost beside it; up to 2 ** 30 its square is in range.
        reach = math.sqrt(self.eps) * math.sqrt(math.expm1(min(2 / self.p, 60 * math.log(2))))
        return self.strength * near_and_far(abs0(x) <= reach, x, self._smooth, self._power).sum()

    def _smooth(self, x: Array) -> Array:
        logs = jnp.log1p(ratio(x, math.sqrt(self.eps)) ** 2)
        half = jnp.tanh(self.p / 4 * logs)
        return 2.0 * self.eps ** (self.p / 2) * (half / (1.0 - half))  # expm1, of which a compiler may make exp - 1

    def _power(self, x: Array) -> Array:
        root = abs0(x) * jnp.sqrt(1.0 + (1.0 / ratio(x, math.sqrt(self.eps))) ** 2)
        return root**self.p - self.eps ** (self.p / 2)


@dataclass(frozen=True)
class LogSum(Elementwise):
    r"""Sum of logarithms of absolute values; drives small elements to zero and hardly shrinks large ones.

    .. math:: \Omega(x) = \lambda \sum_i \log(1 + \lvert x_i \rvert / \varepsilon)

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        eps: :math:`\varepsilon`, finite and > 0; somewhat less than the elements that are to stay.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at 0; :math:`\lambda\,\mathrm{sign}(x) / (\varepsilon + \lvert x \rvert)` elsewhere.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``eps`` is 0.

    Source:
        Candès, Wakin and Boyd (2008), section 2.3, after: the log-sum penalty that reweighting descends.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)
    positive: ClassVar[tuple[str, ...]] = ("eps",)

    strength: float
    eps: float = 0.1

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        size = abs0(masked(accumulate(x), where))
        near = size <= 2.0**40 * self.eps
        return self.strength * near_and_far(near, size, lambda small: jnp.log1p(small / self.eps), self._far).sum()

    def _far(self, size: Array) -> Array:
        return jnp.log(size + self.eps) - math.log(self.eps)


@dataclass(frozen=True)
class StudentT(Elementwise):
    r"""Sum of logarithms of squares, smooth at zero; a heavy-tailed prior: it all but lets large elements go.

    .. math:: \Omega(x) = \lambda \sum_i \log(1 + x_i^2 / \sigma^2)

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        scale: :math:`\sigma`, finite and > 0; where the gradient is largest.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`2 \lambda x / (\sigma^2 + x^2)`; smooth everywhere.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``scale`` is 0.

    Source:
        Olshausen and Field (1996), the second of their three costs of an activity.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)
    positive: ClassVar[tuple[str, ...]] = ("scale",)

    strength: float
    scale: float = 1.0

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        x = masked(accumulate(x), where)
        near = abs0(x) <= 2.0**30 * self.scale
        return (
            self.strength
            * near_and_far(near, x, lambda small: jnp.log1p(ratio(small, self.scale) ** 2), self._far).sum()
        )

    def _far(self, x: Array) -> Array:
        return 2.0 * (jnp.log(abs0(x)) - math.log(self.scale))


@dataclass(frozen=True)
class TransformedL1(Elementwise):
    r"""A bounded, rational function of absolute values: L1 for a large a, a count of what is not zero for a small one.

    .. math:: \Omega(x) = \lambda \sum_i \frac{(a + 1) \lvert x_i \rvert}{a + \lvert x_i \rvert}

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        a: finite and > 0; the element that costs half of the bound :math:`\lambda (a + 1)`.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at 0; :math:`\lambda\,\mathrm{sign}(x)\, a (a + 1) / (a + \lvert x \rvert)^2` elsewhere; 0 at an infinite
        element, which costs the bound.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``a`` is 0.

    Source:
        Zhang and Xin (2018), after.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)
    positive: ClassVar[tuple[str, ...]] = ("a",)

    strength: float
    a: float = 1.0

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        size = abs0(masked(accumulate(x), where))
        costs = near_and_far(size <= self.a, size, lambda small: small / (self.a + small), self._far)
        return self.strength * (self.a + 1.0) * costs.sum()

    def _far(self, size: Array) -> Array:
        # 1 - 1 / (1 + size / a), with a factor that keeps the square of the quotient, its derivative, in range.
        factor = 2.0**-40
        return 1.0 - factor / (factor + factor / self.a * size)


@dataclass(frozen=True)
class TanhL1(Elementwise):
    r"""Sum of hyperbolic tangents of absolute values: L1 near zero, a count of what is not zero far from it.

    .. math:: \Omega(x) = \lambda \sum_i \tanh(c\, \lvert x_i \rvert)

    Args:
        strength: :math:`\lambda`, finite and >= 0; the bound of what an element costs.
        scale: :math:`c`, finite and > 0; its inverse is the element at which the count begins.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at 0; :math:`\lambda c\,\mathrm{sign}(x) / \cosh^2(c x)` elsewhere; 0 at an infinite element, which costs
        the bound.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``scale`` is 0.

    Source:
        Jermyn et al. (2024), the tanh penalty for dictionary learning, after.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)
    positive: ClassVar[tuple[str, ...]] = ("scale",)

    strength: float
    scale: float = 1.0

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        scaled = self.scale * abs0(masked(accumulate(x), where))
        return self.strength * near_and_far(scaled <= 0.5, scaled, jnp.tanh, self._far).sum()

    def _far(self, scaled: Array) -> Array:
        # The derivative of tanh as it stands, 1 - tanh ** 2, is all rounding error here.
        decay = jnp.exp(-2.0 * scaled)
        return 1.0 - 2.0 * decay / (1.0 + decay)
