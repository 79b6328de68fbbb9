"""Penalties of the statistics of activations over samples and positions."""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, euclidean, grouped, total

# Note [Centred]
# Over N samples of F features, with m the mean of |x| of a feature: the mean μ is a quotient and a sum, with an error
# of (1 + log₂ N) u m, and d = x − μ has (1 + log₂ N) u a with a = |d| + m: what the mean cancels is in m. All errors
# are to first order: a feature so far from 0 that u m is not small beside its deviation is beyond these bounds.
#   covariances   C = Σdd'/(N−δ) is a Gram matrix (Note [Gram matrices] of the bounds: (1 + √N) u for the product), and
#                 each factor d has its error: δC <= (4 + √N + 2 log₂ N) u Q with Q = Σaa'/(N−δ) >= |C|. The square, the
#                 sum of F² and up to two coefficients: (8 + √N + 2 log₂ N + 2 log₂ F) u Σ (2|C|Q + C²).
#       gradient  4 Σ_j C d by a second product, twice, over F: with δC, δd, √F, and six for the products, their sum,
#                 the coefficients and the quotient: (12 + √N + √F + 3 log₂ N) u H with H = 4 Σ_j Q a / (N−δ).
#                 Autograd takes its mean over N away again (it is 0, up to rounding): 2 + log₂ N more, on H + mean H.
#   deviations    v = Σd²/(N−1): (4 + 3 log₂ N) u W with W = Σ|d|a/(N−1); eps, scaled, has 4. Half of that and 2 for
#                 the root: δ√ <= (4 + 3/2 log₂ N) u Z with Z = (W + eps)/√(v+eps) >= √(v+eps). The target and its
#                 difference 2, the mean over F and the strength 2 + log₂ F: (8 + 3/2 log₂ N + log₂ F) u Σ (γ + Z).
#       gradient  d/√: (1 + log₂ N) of d, δ√ relative to √, and 7 for products and quotients: (12 + 5/2 log₂ N) u H
#                 with H = a Z/(v+eps), and 2 + log₂ N for the mean that is taken away, as above.
#   divergences   ρ̂ has (1 + log₂ N) u m, so ρ log(ρ/ρ̂) has ρ times (1 + log₂ N) m/ρ̂, 3 for ρ and the quotient, 6 for
#                 the logarithm and its product; 1 − ρ̂ as well. The sum of two and of F, and the strength:
#                 (9 + log₂ N + log₂ F) u Σ ρ (m/ρ̂ + 1 + |log|) + (1−ρ) (m/(1−ρ̂) + 1 + |log|); no m where it is clipped.
#       gradient  ρ/ρ̂, with (1 + log₂ N) m/ρ̂, ten on the way through log and quotient, and the mean and the strength:
#                 (14 + log₂ N) u (ρ/ρ̂ (1 + m/ρ̂) + (1−ρ)/(1−ρ̂) (1 + m/(1−ρ̂))).
#   means         μ − t has (2 + log₂ N) u r with r = m + |t|, the square twice that, itself, F and the strength:
#                 (6 + 2 log₂ N + log₂ F) u Σr|μ − t|; the gradient (5 + log₂ N) u r.


class Feature:
    """One feature over what counts: mean m of the magnitudes, deviations d, and their reach a = |d| + m."""

    def __init__(self, values: list[float]) -> None:
        n = len(values)
        self.mean = total(values) / n
        self.m = total(map(abs, values)) / n
        self.d = [value - self.mean for value in values]
        self.a = [abs(d) + self.m for d in self.d]


class Batch:
    """The features of an array, the indices of their elements, and how many samples count."""

    def __init__(self, x: Array, axes: Axes, where: Mask) -> None:
        parts = sorted(grouped(x, axes, where, ("feature",)).items())
        self.shape, self.size = x.shape, x.shape[axes.index("feature")]
        self.indices = [[index for index, _ in entries] for _, entries in parts]
        self.features = [Feature([value for _, value in entries]) for _, entries in parts]
        self.n = len(self.indices[0]) if self.indices else 0
        self.log_n = math.log2(max(self.n, 1))
        self.log_f = math.log2(max(self.size, 1))

    def native(self, rows: list[list[float]]) -> Array:
        """An array of the shape of the input from one row per feature; 0 where nothing counts."""
        result = np.zeros(self.shape)
        for indices, row in zip(self.indices, rows, strict=True):
            for index, value in zip(indices, row, strict=True):
                result[index] = value
        return result

    def nothing(self) -> Expected:
        """No statistic: 0."""
        return Expected(0.0, np.zeros(self.shape), 0.0, np.zeros(self.shape))


def with_mean(row: list[float]) -> list[float]:
    """Each number and the mean of all."""
    mean = total(row) / len(row)
    return [value + mean for value in row]


def off_diagonal(batch: Batch, weight: float, ddof: int) -> Expected:
    """weight · Σ_{i≠j} C_ij² and its gradient 4 · weight/(N − ddof) Σ_{j≠i} C_ij d_j."""
    if batch.n < 2:
        return batch.nothing()
    features, free = batch.features, batch.n - ddof
    terms, sizes, slopes, reaches = [], [], [], []
    for i, one in enumerate(features):
        slope, reach = [0.0] * batch.n, [0.0] * batch.n
        for j, other in enumerate(features):
            if i == j:
                continue
            c = total(p * q for p, q in zip(one.d, other.d, strict=True)) / free
            size = total(p * q for p, q in zip(one.a, other.a, strict=True)) / free
            terms.append(weight * c * c)
            sizes.append(weight * (2 * abs(c) * size + c * c))
            slope = [s + 4 * weight / free * c * d for s, d in zip(slope, other.d, strict=True)]
            reach = [s + 4 * weight / free * size * a for s, a in zip(reach, other.a, strict=True)]
        slopes.append(slope)
        reaches.append(with_mean(reach))
    root_n, log_n = math.sqrt(batch.n), batch.log_n
    return Expected(
        total(terms),
        batch.native(slopes),
        total(sizes),
        batch.native(reaches),
        factor=8 + root_n + 2 * log_n + 2 * batch.log_f,
        gradient_factor=14 + root_n + math.sqrt(batch.size) + 4 * log_n,
    )


def decorrelation(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ/2 (‖C‖²_F − ‖diag C‖²), C the covariance matrix that divides by N."""
    return off_diagonal(Batch(x, axes, where), strength / 2, ddof=0)


def covariance(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ/F Σ_{i≠j} C_ij², C the covariance matrix that divides by N − 1."""
    batch = Batch(x, axes, where)
    return off_diagonal(batch, strength / max(batch.size, 1), ddof=1)


def variance_hinge(
    x: Array, axes: Axes, where: Mask, /, *, strength: float, target: float = 1.0, eps: float = 1e-4
) -> Expected:
    """λ/F Σ max(γ − √(v + eps), 0), v the variance that divides by N − 1. Slope −λ/F d/((N−1) √(v + eps))."""
    batch = Batch(x, axes, where)
    if batch.n < 2:
        return batch.nothing()
    free, weight = batch.n - 1, strength / batch.size
    terms, sizes, slopes, reaches = [], [], [], []
    for feature in batch.features:
        root = euclidean([*(d / math.sqrt(free) for d in feature.d), math.sqrt(eps)])
        if math.isnan(root) or root < target:
            w = total(abs(d) / root * a for d, a in zip(feature.d, feature.a, strict=True)) / free
            z = w + eps / root
            terms.append(weight * (target - root))
            sizes.append(weight * (target + z))
            slopes.append([-weight / free * d / root for d in feature.d])
            reaches.append(with_mean([weight / free * (a / root) * (z / root) for a in feature.a]))
        else:
            slopes.append([0.0] * batch.n)
            reaches.append([0.0] * batch.n)
    return Expected(
        total(terms),
        batch.native(slopes),
        total(sizes),
        batch.native(reaches),
        factor=8 + 1.5 * batch.log_n + batch.log_f,
        gradient_factor=14 + 3.5 * batch.log_n,
    )


def kl_sparsity(
    x: Array, axes: Axes, where: Mask, /, *, strength: float, rho: float = 0.05, eps: float = 1e-6
) -> Expected:
    """λ Σ ρ log(ρ/ρ̂) + (1−ρ) log((1−ρ)/(1−ρ̂)), ρ̂ the mean, clipped. Gradient λ/N ((1−ρ)/(1−ρ̂) − ρ/ρ̂), 0 if clipped."""
    batch = Batch(x, axes, where)
    terms, sizes, slopes, reaches = [], [], [], []
    for feature in batch.features:
        clipped = feature.mean <= eps or feature.mean >= 1 - eps
        on = eps if feature.mean <= eps else 1 - eps if feature.mean >= 1 - eps else feature.mean
        off = eps if feature.mean >= 1 - eps else 1 - on
        m = 0.0 if clipped else feature.m
        for share, rate in ((rho, on), (1 - rho, off)):
            log = math.log(share / rate)
            terms.append(strength * share * log)
            sizes.append(strength * share * (m / rate + 1 + abs(log)))
        weight = 0.0 if clipped else strength / batch.n
        slopes.append([weight * ((1 - rho) / off - rho / on)] * batch.n)
        reaches.append([weight * (rho / on * (1 + m / on) + (1 - rho) / off * (1 + m / off))] * batch.n)
    return Expected(
        total(terms),
        batch.native(slopes),
        total(sizes),
        batch.native(reaches),
        factor=9 + batch.log_n + batch.log_f,
        gradient_factor=14 + batch.log_n,
    )


def mean_activation(x: Array, axes: Axes, where: Mask, /, *, strength: float, target: float = 0.0) -> Expected:
    """λ Σ (mean − μ)². Gradient 2λ/N (mean − μ)."""
    batch = Batch(x, axes, where)
    terms, sizes, slopes, reaches = [], [], [], []
    for feature in batch.features:
        gap, reach = feature.mean - target, feature.m + abs(target)
        terms.append(strength * gap * gap)
        sizes.append(strength * abs(gap) * reach)
        slopes.append([2 * strength / batch.n * gap] * batch.n)
        reaches.append([2 * strength / batch.n * reach] * batch.n)
    return Expected(
        total(terms),
        batch.native(slopes),
        total(sizes),
        batch.native(reaches),
        factor=6 + 2 * batch.log_n + batch.log_f,
        gradient_factor=5 + batch.log_n,
    )


ORACLES: dict[str, Oracle] = {
    "Decorrelation": decorrelation,
    "Covariance": covariance,
    "VarianceHinge": variance_hinge,
    "KLSparsity": kl_sparsity,
    "MeanActivation": mean_activation,
}
