"""Penalties of logits, through a softmax over features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._arrays import accumulate, at_least_one, feature_vectors, masked
from .._spec.errors import positive_integer, sentence
from .._spec.layout import Axes, activation_axes
from ..penalty import Penalty


@dataclass(frozen=True)
class Logits(Penalty):
    """A penalty of feature vectors, each a softmax's input."""

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    def default_axes(self, rank: int) -> Axes:
        return activation_axes(rank)


@dataclass(frozen=True)
class NegativeEntropy(Logits):
    r"""Sum of negative entropies of softmax distributions; drives them to be less certain.

    .. math:: \Omega(x) = \lambda \sum_n \sum_i p_{ni} \log p_{ni}, \qquad p_n = \mathrm{softmax}(x_n)

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis, floating, logits; :math:`n` runs over the samples and positions
        that count. Result: scalar, never above 0, float32 (float64 for float64).

    Gradient:
        :math:`\lambda\, p_{ni} (\log p_{ni} - \sum_j p_{nj} \log p_{nj})`; a logit of :math:`-\infty` has the
        probability 0 and gives 0 to value and gradient. A vector of nothing else, or with :math:`+\infty`, is NaN.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``x`` has no ``feature`` axis, or a mask lies over it.

    Source:
        Pereyra et al. (2017), the confidence penalty of section 3.
    """

    strength: float

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        feature, _ = feature_vectors("NegativeEntropy", x, axes, where)
        x = masked(accumulate(x), where)
        if x.size == 0:
            return self.strength * x.sum()
        shifted = x - lax.stop_gradient(x).max(axis=feature, keepdims=True)
        # Σ p log p = Σ e s / Σ e - log Σ e with e = exp(s), two terms that are never above 0 and so cannot cancel.
        impossible = shifted == -jnp.inf
        shifted = jnp.where(impossible, 0.0, shifted)
        weights = jnp.where(impossible, 0.0, jnp.exp(shifted))
        sums = weights.sum(axis=feature, keepdims=True)
        vectors = (weights * shifted).sum(axis=feature, keepdims=True) / sums - jnp.log(sums)
        return self.strength * masked(vectors, where).sum()

    def additive(self, axes: Axes) -> bool:
        return True


@dataclass(frozen=True)
class RouterZ(Logits):
    r"""Sum of squared log-partition functions; drives a router's logits to stay small.

    .. math:: \Omega(x) = \lambda \sum_n \left(\log \sum_i e^{x_{ni}}\right)^2

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis (the experts), floating, logits; :math:`n` runs over the samples
        and positions that count, and ``per="position"`` makes it their mean. Result: scalar, float32 (float64 for
        float64).

    Gradient:
        :math:`2 \lambda \log(\sum_j e^{x_{nj}})\, \mathrm{softmax}(x_n)_i`; smooth everywhere.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``x`` has no ``feature`` axis, or a mask lies over it.

    Source:
        Zoph et al. (2022), ST-MoE, equation 5.
    """

    strength: float

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        feature, _ = feature_vectors("RouterZ", x, axes, where)
        x = masked(accumulate(x), where)
        if x.size == 0:
            return self.strength * x.sum()
        vectors = jax.nn.logsumexp(x, axis=feature, keepdims=True)
        return self.strength * (masked(vectors, where) ** 2).sum()

    def additive(self, axes: Axes) -> bool:
        return True


@dataclass(frozen=True)
class LoadBalance(Logits):
    r"""Product of the load and the mean probability of each expert, summed; drives a router to use all experts alike.

    .. math:: \Omega(x) = \lambda\, E \sum_e f_e P_e, \qquad P_e = \frac{1}{N} \sum_n \mathrm{softmax}(x_n)_e

    :math:`f_e` is the fraction of positions whose ``top_k`` largest logits have that of expert :math:`e` among them.

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        top_k: how many experts a position is sent to, >= 1; the fractions sum to it.

    Shapes:
        ``x``: canonical layout with a ``feature`` axis (the :math:`E` experts), floating, logits; :math:`n` runs over
        the samples and positions that count. Result: scalar, float32 (float64 for float64).

    Gradient:
        That of :math:`P_e`; :math:`f_e` carries none. Among equal logits those with the lowest indices are the largest.

    Raises:
        TypeError: ``strength`` is not a number, ``top_k`` is not an integer, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``top_k`` is less than 1 or more than the experts, ``x`` has
            no ``feature`` axis, or a mask lies over it.

    Source:
        Fedus, Zoph and Shazeer (2021), Switch Transformers, equations 4 to 6.
    """

    strength: float
    top_k: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "top_k", positive_integer("LoadBalance", "top_k", self.top_k))

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        feature, n = feature_vectors("LoadBalance", x, axes, where)
        x = masked(accumulate(x), where)
        experts = x.shape[feature]
        if 0 < experts < self.top_k:
            raise ValueError(sentence("LoadBalance", "top_k", f"at most the number of experts, {experts}", self.top_k))
        if x.size == 0:
            return self.strength * x.sum()
        others = tuple(i for i in range(x.ndim) if i != feature)
        loads = masked(_chosen(x, feature, self.top_k), where).sum(axis=others) / at_least_one(n)
        shares = masked(jax.nn.softmax(x, axis=feature), where).sum(axis=others) / at_least_one(n)
        return self.strength * experts * (loads * shares).sum()

    def additive(self, axes: Axes) -> bool:
        return False


def _chosen(x: Array, feature: int, top_k: int) -> Array:
    """1 at the largest logits of each vector, 0 elsewhere; of a tie the lowest index is taken, and NaN is the largest.

    One maximum after another: for the few that are chosen it is sooner had than ``lax.top_k``, for which XLA would also
    gather a batch that is split over devices.
    """
    x, places = lax.stop_gradient(x), lax.broadcasted_iota(jnp.int32, x.shape, feature)
    chosen = jnp.zeros(x.shape, bool)
    for _ in range(top_k):
        best = jnp.max(jnp.where(chosen, -jnp.inf, x), axis=feature, keepdims=True)
        at = ~chosen & ((x == best) | (jnp.isnan(x) & jnp.isnan(best)))
        chosen |= places == jnp.min(jnp.where(at, places, x.shape[feature]), axis=feature, keepdims=True)
    return chosen.astype(x.dtype)
