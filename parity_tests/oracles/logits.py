"""Penalties of logits, through a softmax."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Index, Mask, Oracle, grouped, total

# Note [Softmax]
# With s = x − max x, e = exp s, Z = Σe and p = e/Z over F features, let K = Σ p|s|, M = Σ p s² >= K² and L = log Z.
# A difference s has one rounding, exp turns it into |s| of its own and adds 4, so e has (|s| + 4) u, Z has
# (K + 4 + log₂ F) u and p has (|s| + K + 9 + log₂ F) u <= (9 + log₂ F) u (|s| + K + 1).
#   NegativeEntropy  V = Σes/Z − L, with both terms of one sign. δ(Σes/Z) <= (M + K² + (11 + 2 log₂ F) K) u and
#                    δL <= (K + 4 + log₂ F + 4 L) u, with one for the sum of both and one for the strength:
#                    δV <= (14 + 2 log₂ F) u (M + K + L + 1).
#        gradient    p (s + 1 − Σes/Z − 1): p, with (9 + log₂ F) (|s| + K + 1), of terms of the size |s| + K + 2, four
#                    products, and δ(Σes/Z) above: (16 + 2 log₂ F) u p ((|s| + K + 2) (|s| + K + 1) + M + K).
#   RouterZ          R = max x + L. δR <= (K + 4 + log₂ F + 4 L + |R|) u <= (4 + log₂ F) u A, A = |max x| + K + L + 1,
#                    and for the square, its sum and the strength 3 more: (7 + log₂ F + log₂ N) u (2|R|A + R²).
#        gradient    2R p with p = exp(x − R): δp <= (δR + |x − R| + 4) u p, so (10 + log₂ F) u times
#                    2p (A + |R| (A + |x − R| + 1)).
#   LoadBalance      E Σ f P: to p, whose sum over N has log₂ N, come the mean, f, their product, log₂ F of the sum, E
#                    and the strength: (14 + 2 log₂ F + log₂ N) u E Σ f mean(p (|s| + K + 1)).
#        gradient    p (f − Σfp): the same for each of the two terms, with two more for difference and product.
# What is subnormal in the type of accumulation may be flushed to zero. That happens to p, and then a gradient is off by
# the smallest normal number times what p is multiplied by; and to each term of a gradient, the 4 of an entropy and the
# 2 of a load, where it is off by one such number each. Both only where p, or p times its coefficient, is that small.
# A factor is stated with log₂(N F) apart, as Expected adds it.


class Softmax:
    """One feature vector: where its elements are, and all that Note [Softmax] names."""

    def __init__(self, entries: list[tuple[Index, float]]) -> None:
        self.indices = [index for index, _ in entries]
        self.x = [value for _, value in entries]
        self.top = max(self.x)
        self.s = [value - self.top for value in self.x]
        weights = [math.exp(s) for s in self.s]
        z = total(weights)
        self.p = [weight / z for weight in weights]
        self.log = math.log(z)
        self.k = total(p * abs(s) for p, s in zip(self.p, self.s, strict=True) if p > 0)
        self.m = total(p * s * s for p, s in zip(self.p, self.s, strict=True) if p > 0)
        self.spread = [abs(s) + self.k + 1 if p > 0 else 0.0 for p, s in zip(self.p, self.s, strict=True)]

    def vanishing(self, coefficient: float) -> list[bool]:
        """Where p, or what its coefficient makes of it, is subnormal in float32, but not 0 in every type."""
        small = min(coefficient, 1.0)
        return [small * p < 2.0**-126 and s > -746 for p, s in zip(self.p, self.s, strict=True)]


def vectors(x: Array, axes: Axes, where: Mask) -> Iterator[Softmax]:
    """Every feature vector that counts."""
    others = tuple(name for name in axes if name != "feature")
    for entries in grouped(x, axes, where, others).values():
        yield Softmax(entries)


def doublings(x: Array, axes: Axes) -> float:
    """log₂ F."""
    return math.log2(max(x.shape[axes.index("feature")], 1))


def negative_entropy(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σ p log p. Gradient λ p (log p − Σ p log p) = λ p (s − Σ p s); an element of probability 0 gives 0."""
    terms, sizes = [], []
    gradient, size, flushed = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    for v in vectors(x, axes, where):
        mean = total(p * s for p, s in zip(v.p, v.s, strict=True) if p > 0)
        terms.append(strength * (mean - v.log))
        sizes.append(strength * (v.m + v.k + v.log + 1))
        for index, p, s, spread, small in zip(v.indices, v.p, v.s, v.spread, v.vanishing(strength), strict=True):
            flushed[index] = strength * abs(s - mean) + 4 if small else 0.0
            if p > 0:
                gradient[index] = strength * p * (s - mean)
                size[index] = strength * p * ((spread + 1) * spread + v.m + v.k)
    more = doublings(x, axes)
    return Expected(
        total(terms),
        gradient,
        total(sizes),
        size,
        roundings=14 + more,
        gradient_roundings=16 + more,
        gradient_underflow=flushed,
    )


def router_z(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σ (log Σ exp x)². Gradient 2λ (log Σ exp x) p."""
    terms, sizes = [], []
    gradient, size, flushed = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    for v in vectors(x, axes, where):
        r = v.top + v.log
        reach = abs(v.top) + v.k + v.log + 1
        terms.append(strength * r * r)
        sizes.append(strength * (2 * abs(r) * reach + r * r))
        for index, p, value, small in zip(v.indices, v.p, v.x, v.vanishing(1.0), strict=True):
            flushed[index] = 2 * strength * abs(r) if small else 0.0
            if p > 0:
                gradient[index] = 2 * strength * r * p
                size[index] = 2 * strength * p * (reach + abs(r) * (reach + abs(value - r) + 1))
    return Expected(
        total(terms), gradient, total(sizes), size, roundings=7, gradient_roundings=10, gradient_underflow=flushed
    )


def load_balance(x: Array, axes: Axes, where: Mask, /, *, strength: float, top_k: int = 1) -> Expected:
    """λ E Σ_e f_e P_e, f_e the share of vectors with e among their top_k, P_e its mean probability.

    Gradient λ E/N p_e (f_e − Σ f p): none flows through f. Of equal logits the first are the largest.
    """
    found = list(vectors(x, axes, where))
    experts, n = x.shape[axes.index("feature")], max(len(found), 1)
    chosen = [e for v in found for e in sorted(range(experts), key=lambda e, v=v: (-v.x[e], e))[:top_k]]
    loads = [chosen.count(e) / n for e in range(experts)]
    weight = strength * experts
    terms, sizes = [], []
    gradient, size, flushed = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    for v in found:
        parts = [f * p for f, p in zip(loads, v.p, strict=True)]
        reach = [part * spread for part, spread in zip(parts, v.spread, strict=True)]
        terms.append(weight * total(parts) / n)
        sizes.append(weight * total(reach) / n)
        small = v.vanishing(weight / n)
        for index, f, p, spread, tiny in zip(v.indices, loads, v.p, v.spread, small, strict=True):
            flushed[index] = 2.0 if tiny else 0.0
            gradient[index] = weight / n * p * (f - total(parts))
            size[index] = weight / n * p * ((f + total(parts)) * spread + total(reach))
    more = doublings(x, axes)
    return Expected(
        total(terms),
        gradient,
        total(sizes),
        size,
        roundings=14 + more,
        gradient_roundings=16 + more,
        gradient_underflow=flushed,
    )


ORACLES: dict[str, Oracle] = {"NegativeEntropy": negative_entropy, "RouterZ": router_z, "LoadBalance": load_balance}
