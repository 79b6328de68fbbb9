"""Penalties of the statistics of activations: each feature over all samples and positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from .._arrays import accumulate, at_least_one, feature_vectors, gram, magnitude, masked, matrix, safe_sqrt
from .._spec.errors import coefficient, fraction, number
from .._spec.layout import Axes, activation_axes
from ..penalty import Penalty


@dataclass(frozen=True)
class Statistic(Penalty):
    """A penalty of activations, with an array of one row per feature; none is a sum over samples."""

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    def default_axes(self, rank: int) -> Axes:
        return activation_axes(rank)


@dataclass(frozen=True)
class Decorrelation(Statistic):
    r"""Squared covariances of different features; drives features to be uncorrelated.

    .. math:: \Omega(x) = \frac{\lambda}{2} \left(\lVert C \rVert_F^2 - \lVert \mathrm{diag}\, C \rVert_2^2\right),
        \qquad C_{ij} = \frac{1}{N} \sum_n (x_{ni} - \bar{x}_i)(x_{nj} - \bar{x}_j)

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis, floating; :math:`n` runs over the samples and positions that
        count. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`\frac{2\lambda}{N} \sum_{j \ne i} C_{ij} (x_{nj} - \bar{x}_j)`; smooth. 0 for a single sample.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``x`` has no ``feature`` axis, or a mask lies over it.

    Source:
        Cogswell et al. (2016), DeCov, the loss of section 3.
    """

    strength: float

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        centred, n = _centred("Decorrelation", x, axes, where)
        return 0.5 * self.strength * _off_diagonal(gram(centred) / at_least_one(n))


@dataclass(frozen=True)
class Covariance(Statistic):
    r"""Squared covariances of different features for each feature, unbiased; drives features to be uncorrelated.

    .. math:: \Omega(x) = \frac{\lambda}{F} \sum_{i \ne j} C_{ij}^2,
        \qquad C_{ij} = \frac{1}{N - 1} \sum_n (x_{ni} - \bar{x}_i)(x_{nj} - \bar{x}_j)

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis of size :math:`F`, floating; :math:`n` runs over the samples
        and positions that count. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`\frac{4\lambda}{F (N - 1)} \sum_{j \ne i} C_{ij} (x_{nj} - \bar{x}_j)`; smooth. 0 for a single sample.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``x`` has no ``feature`` axis, or a mask lies over it.

    Source:
        Bardes, Ponce and LeCun (2022), VICReg, the covariance regularization of section 4.
    """

    strength: float

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        centred, n = _centred("Covariance", x, axes, where)
        return self.strength * _off_diagonal(gram(centred) / at_least_one(n - 1)) / max(len(centred), 1)


@dataclass(frozen=True)
class VarianceHinge(Statistic):
    r"""Mean shortfall of the standard deviation of each feature; drives features to vary, so that none collapses.

    .. math:: \Omega(x) = \frac{\lambda}{F} \sum_i \max\left(\gamma - \sqrt{v_i + \varepsilon}, 0\right),
        \qquad v_i = \frac{1}{N - 1} \sum_n (x_{ni} - \bar{x}_i)^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        target: :math:`\gamma`, finite and >= 0, the standard deviation that is enough.
        eps: :math:`\varepsilon`, finite and > 0.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis of size :math:`F`, floating; :math:`n` runs over the samples
        and positions that count. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`-\frac{\lambda}{F (N - 1)} (x_{ni} - \bar{x}_i) / \sqrt{v_i + \varepsilon}` below the target; 0 at the
        target and above. Of a single sample, which has no variance, value and gradient are 0.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is out of its range, ``x`` has no ``feature`` axis, or a mask lies over it.

    Source:
        Bardes, Ponce and LeCun (2022), VICReg, the variance regularization of section 4.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength", "target")

    strength: float
    target: float = 1.0
    eps: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "eps", coefficient("VarianceHinge", "eps", self.eps, positive=True))

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        centred, n = _centred("VarianceHinge", x, axes, where)
        # As in HoyerSquare: below the root of eps the constant is what must stay in range.
        scale = magnitude(centred, (1,), least=2.0 ** math.floor(math.log2(self.eps) / 2))
        variances = ((centred / scale) ** 2).sum(axis=1) / at_least_one(n - 1)
        scale = scale.squeeze(1)
        gaps = self.target - scale * safe_sqrt(variances + (math.sqrt(self.eps) / scale) ** 2)
        short = jnp.where(gaps <= 0, 0.0, gaps) * (n > 1)  # not gaps > 0, so that a NaN survives
        return self.strength * short.sum() / max(len(centred), 1)


@dataclass(frozen=True)
class KLSparsity(Statistic):
    r"""Divergence of mean activations from a small rate; drives each feature to be active that often.

    .. math:: \Omega(x) = \lambda \sum_i \rho \log\frac\rho{\hat\rho_i} + (1 - \rho) \log\frac{1 - \rho}{1 - \hat\rho_i}

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        rho: :math:`\rho`, the rate, > 0 and < 1.
        eps: > 0 and < 0.5; a mean outside of ``[eps, 1 - eps]`` costs what the nearer end costs.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis, floating, meant to lie in (0, 1); :math:`\hat\rho_i` is the
        mean over the samples and positions that count. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`\frac{\lambda}{N} \left(\frac{1 - \rho}{1 - \hat\rho_i} - \frac{\rho}{\hat\rho_i}\right)`; 0 at the two
        ends and outside.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is out of its range, ``x`` has no ``feature`` axis, or a mask lies over it.

    Source:
        Ng (2011), CS294A lecture notes, the sparsity penalty of the autoencoder, after.
    """

    strength: float
    rho: float = 0.05
    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rho", fraction("KLSparsity", "rho", self.rho))
        object.__setattr__(self, "eps", fraction("KLSparsity", "eps", self.eps, below=0.5))

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        rows, _, n = _rows("KLSparsity", x, axes, where)
        means = _means(rows, n).squeeze(1)
        low, high = means <= self.eps, means >= 1 - self.eps
        active = jnp.where(low, self.eps, jnp.where(high, 1 - self.eps, means))
        idle = jnp.where(high, self.eps, 1 - active)  # exact at the upper end too, where 1 - active cancels
        divergences = self.rho * jnp.log(self.rho / active) + (1 - self.rho) * jnp.log((1 - self.rho) / idle)
        return self.strength * (divergences * (n > 0)).sum()


@dataclass(frozen=True)
class MeanActivation(Statistic):
    r"""Squared distance of mean activations from a target; drives each feature to that mean.

    .. math:: \Omega(x) = \lambda \sum_i (\bar{x}_i - \mu)^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        target: :math:`\mu`, finite.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis, floating; :math:`\bar{x}_i` is the mean over the samples and
        positions that count. Result: scalar, float32 (float64 for float64).

    Gradient:
        :math:`\frac{2\lambda}{N} (\bar{x}_i - \mu)`; smooth everywhere.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is out of its range, ``x`` has no ``feature`` axis, or a mask lies over it.

    Source:
        The squared form of the pull on mean activations in Ng (2011), after.
    """

    strength: float
    target: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "target", number("MeanActivation", "target", self.target))

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        rows, _, n = _rows("MeanActivation", x, axes, where)
        return self.strength * ((_means(rows, n) - self.target) ** 2 * (n > 0)).sum()


def _rows(name: str, x: Array, axes: Axes, where: Array | None) -> tuple[Array, Array | None, Array | int]:
    """One row per feature, zero where the mask leaves out; the mask as one row; how many samples count."""
    feature, n = feature_vectors(name, x, axes, where)
    rows = matrix(masked(accumulate(x), where), feature)
    if where is None:
        return rows, None, n
    shape = tuple(1 if i == feature else size for i, size in enumerate(x.shape))
    return rows, matrix(jnp.broadcast_to(where, shape), feature), n


def _means(rows: Array, n: Array | int) -> Array:
    """The mean of each row; divided first, so that no sum leaves the range of the dtype."""
    return (rows / at_least_one(n)).sum(axis=1, keepdims=True)


def _centred(name: str, x: Array, axes: Axes, where: Array | None) -> tuple[Array, Array | int]:
    """One row per feature with its mean taken away first: a difference of squares would cancel."""
    rows, counts, n = _rows(name, x, axes, where)
    return masked(rows - _means(rows, n), counts), n


def _off_diagonal(products: Array) -> Array:
    """The sum of squares beside the diagonal; a NaN on it stays."""
    diagonal = jnp.eye(len(products), dtype=bool)
    return (jnp.where(diagonal & ~jnp.isnan(products), 0.0, products) ** 2).sum()
