"""Sums over elements: L1, L2, elastic net, pseudo-Huber, saturation.

Note [Roundings of the convex sums]
A coefficient that is no number of the type is rounded to it: 1 beside its own operation, as for the strength, which is
the last 2 of every count. A sum of two positive terms has the larger count of the two and 1.

PseudoHuber with t = x/δ (2), so t² (5):
    |x| <= δ: x²/(1 + r), r = √(1 + t²). t² is at most half of 1 + t²: 2.5 and 1; the root halves that: 1.75 and 1. 1 +
        r then has 3.75 at most; with x² and the quotient the term has 5.75.
        Its gradient is 2x/(1 + r) − x²t/(r(1 + r)²)/δ. The first is at most 0.83 x with 5.75 roundings, the second at
        most 0.13 x with 21 (7.5, 2.75, and x², t, δ and the operations), and they leave 0.7 x or more: 10.7.
    |x| > δ: δ|x|/(√(1 + ρ²) + ρ), ρ = 1/t (3). As above, with 4 for the sum; with δ|x| (2) and the quotient: 7.
        Its gradient adds two positive terms. The first has 7, the second 25 and at most 0.42 of the whole: 14.6.
    Value 7 + 2 = 9, gradient 14.6 + 2, and 1 for its sum, <= 18.

Saturation with e = |x| − c > 0: c is rounded, and so is e, so that e is off by (c + e) u and e² by 2e(c + e) u and 1
rounding more. In proportion to S = Σ e(e + 2c) that is 3, with the strength 5. The gradient 2e is off by 2(c + e) u: 1
in proportion to 2(c + e), with the strength 3.
"""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, counted, sign, total


def l1(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σ|x|. Subgradient λ sign(x), 0 at 0."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms.append(strength * abs(xi))
        gradient[i] = strength * sign(xi)
    return Expected(total(terms), gradient, total(terms), np.abs(gradient))


def l2(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σx², without a half. Gradient 2λx."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms.append(strength * xi * xi)
        gradient[i] = 2 * strength * xi
    return Expected(total(terms), gradient, total(terms), np.abs(gradient))


def elastic_net(x: Array, axes: Axes, where: Mask, /, *, l1: float, l2: float) -> Expected:
    """l1 Σ|x| + l2 Σx². The two parts of the gradient, l1 sign(x) and 2 l2 x, always have the same sign."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms += [l1 * abs(xi), l2 * xi * xi]
        gradient[i] = l1 * sign(xi) + 2 * l2 * xi
    return Expected(total(terms), gradient, total(terms), np.abs(gradient), terms_per_element=2)


def pseudo_huber(x: Array, axes: Axes, where: Mask, /, *, strength: float, delta: float = 1.0) -> Expected:
    """λ Σ δ²(√(1 + (x/δ)²) − 1), which is δx²/(h + δ) with h = √(x² + δ²): no difference. Gradient λ δx/h."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        h = math.hypot(xi, delta)
        terms.append(strength * (xi * (delta / (h + delta)) * xi))
        gradient[i] = strength * (delta / h * xi)
    return Expected(total(terms), gradient, total(terms), np.abs(gradient), roundings=9, gradient_roundings=18)


def saturation(x: Array, axes: Axes, where: Mask, /, *, strength: float, limit: float) -> Expected:
    """λ Σ max(|x| − limit, 0)². Gradient 2λ sign(x) max(|x| − limit, 0), 0 at the limit."""
    terms, sizes, gradient, size = [], [], np.zeros(x.shape), np.zeros(x.shape)
    for i, xi in counted(x, where):
        excess = math.nan if math.isnan(xi) else max(abs(xi) - limit, 0.0)
        terms.append(strength * excess * excess)
        sizes.append(strength * excess * (excess + 2 * limit))
        gradient[i] = 2 * strength * sign(xi) * excess
        size[i] = 2 * strength * (excess + limit) if excess else 0.0
    return Expected(total(terms), gradient, total(sizes), size, roundings=5)


ORACLES: dict[str, Oracle] = {
    "L1": l1,
    "L2": l2,
    "ElasticNet": elastic_net,
    "PseudoHuber": pseudo_huber,
    "Saturation": saturation,
}
