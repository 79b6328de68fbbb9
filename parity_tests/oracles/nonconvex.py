"""Sums over elements that grow ever more slowly: nearer to counting than L1 is.

Note [Roundings of a formula in two ranges]
Each formula is computed in one way near zero and in another far from it; the larger count is stated. A coefficient is
rounded to the type, 1 beside its own operation, as is the strength, which is the last 2 of every count. log, log1p,
exp and powers count 4; tanh counts 6, since JAX's is off by up to 4.7 in float32 (by itself, on two million arguments).

LogSum with t = |x|/eps (2):
    t <= 2⁴⁰: log1p(t), whose condition is at most 1: 2 + 4 + 2 = 8.
        Gradient 1/(1 + t)/eps: 3 for the sum, its inverse 1, eps 2, the strength 2: 8.
    t > 2⁴⁰: V = log(|x| + eps) − log(eps) >= 27.7. The first is off by 4 |log(|x| + eps)| + 1 <= 4V + 4 |log eps| + 1,
        the second by |log eps|: in proportion to V 4 + (5 |log eps| + 1)/27.7, its own rounding and the strength 3
        more.
StudentT with t = x/scale (2), so t² (5):
    |t| <= 2³⁰: log1p(t²): 5 + 4 + 2 = 11.
        Gradient 2t/(1 + t²)/scale: its condition in t is at most 1: 2; t² and 1 + t² are rounded once each: 2; three
        operations, scale 2, the strength 2: 11.
    |t| > 2³⁰: V = 2(log|x| − log(scale)), V/2 >= 20.7. As for LogSum, without its sum: 4 + 5 |log scale|/20.7 + 3.
        Gradient 2/x: 4.
TransformedL1, with the factor λ(a + 1) in place of the strength:
    |x| <= a: |x|/(a + |x|): 2 for the sum, 1 for the quotient, and 2: 5.
        Gradient 1/(a + |x|) − |x|/(a + |x|)²: 3 and 7 roundings, at worst (|x| = a) on 1/2 and 1/4, which leave 1/4:
        13, their difference 1, and 2: 16.
    |x| > a: 1 − q with q = 1/(1 + |x|/a) <= 1/2 (3 for the product and 1/a, 1 for the sum, 1 for the inverse: 5): 5 +
        1 + 2 = 8. Gradient q²/a: 10, the square and two products 3, 1/a 1, and 2: 16.
TanhL1 with z = scale·|x| (2):
    z <= 1/2: tanh(z): 2 + 6 + 2 = 10. Gradient scale·(1 − y²): y² (17) is at most 0.27 of what is left: 4.6 + 1 + 2 +
        2.
    z > 1/2: 1 − 2E/(1 + E), E = exp(−2z), which has 4 for itself and 2·2z for z. 2E/(1 + E) has 6 + 4z and is at most
        1.17 of what is left, at z = 1/2, and falls faster than 1 + z grows: 9.4 + 1 + 2 <= 13.
        Gradient scale·4E/(1 + E)²: the condition in E is at most 1: 4 + 4z. Of 1/(1 + E) − E/(1 + E)² the first has 2
        and the second 6 roundings, on 1.37 and 0.37 of what is left: 5 + 1. Two more products, scale 2, the strength
        2: in proportion to 1 + z at most 16.
        For 43 < z < 46 E is near 2⁻¹²⁶. A product with it, λ or scale (<= 1) may be below and be flushed, where the
        gradient, up to 4 times the product, is not: an error of 4·2⁻¹²⁶, which is 16 u · 2⁻¹⁰⁴, with u = 2⁻²⁴.
Lp with e = √eps, t = x/e (2), t² (5), L = log1p(t²) (9), w = pL/2 (11):
    w <= 1: eᵖ expm1(w) as 2eᵖ T/(1 − T), T = tanh(w/2) <= 0.47 (11 + 6 = 17). 1 − T weighs T once more, by 0.87: 31.8,
        two operations, eᵖ and the strength 4: 38.
        Gradient eᵖ (1 − T²)/(1 − T)² pt/(1 + t²)/e: 29.7 and 3 for the square, 9.6 and 2 for 1 − T² (T² has 35), 5 of
        t/(1 + t²) as for StudentT, p 2, e 2, four products 4, eᵖ and the strength 4: 62.
    else: h = |x| r, r = √(1 + ρ²), ρ = 1/t (3). ρ² (7) and the sum: 8, the root halves that: 4 + 1, the product: 6. hᵖ
        has 4 + 6p, eᵖ 1, and their difference is a k-th of hᵖ, k <= 1.6 (or less than 1/(1 − 2⁻³⁰ᵖ), for p so small
        that w is below 1 where t is 2³⁰): k(5 + 6p) + 1 + 2.
        Gradient phᵖ⁻¹ dh/dx: 4 + 6 |p − 1| for the power. dh/dx is r − ρ²/r, terms with 5 and 20 roundings that are at
        most 1 + 2ρ² <= 1 + p times what they leave: 20 (1 + p) + 1. Two products, p and the strength 4.
Lp without eps: |x|ᵖ has 4 + 2, its gradient p|x|ᵖ⁻¹ 4 + 2 + 2.
A power that float32 does not hold is rounded to one that it does, which hᵖ feels |p log h|-fold: in its scale.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, counted, sign, total
from parity_tests.oracles.elementwise import l1, l2


def power(base: float, exponent: float) -> float:
    """baseᵖ; beyond the range of float64 infinite, as IEEE has it."""
    try:
        return base**exponent
    except OverflowError:
        return math.inf


def lp(x: Array, axes: Axes, where: Mask, /, *, strength: float, p: float, eps: float = 0.0) -> Expected:
    """λ Σ((x² + eps)^{p/2} − eps^{p/2}). Gradient λ p x (x² + eps)^{p/2 − 1}, 0 at 0.

    For p = 2 eps cancels, and without eps p = 1 is the sum of the absolute values. With e = √eps and h = √(x² + eps)
    the difference is hᵖ − eᵖ, or, where that would cancel, eᵖ expm1(p/2 log1p(x²/eps)).
    """
    if p == 2:
        return l2(x, axes, where, strength=strength)
    if p == 1 and eps == 0:
        return l1(x, axes, where, strength=strength)
    e = math.sqrt(eps)
    terms, sizes, gradient, size = [], [], np.zeros(x.shape), np.zeros(x.shape)
    for i, xi in counted(x, where):
        h = math.hypot(xi, e)
        if eps and p * math.log(h / e) < 1:
            terms.append(strength * e**p * math.expm1(p / 2 * math.log1p((xi / e) ** 2)))
        else:
            terms.append(strength * (power(h, p) - e**p))
        gradient[i] = strength * p * power(h, p - 1) * (xi / h) if xi else 0.0
        exponent = 0.0 if p == float(np.float32(p)) or not h else abs(p * math.log(h))
        sizes.append(terms[-1] * (1 + exponent))
        size[i] = abs(gradient[i]) * (1 + exponent)
    due = Expected(total(terms), gradient, total(sizes), size, roundings=6, gradient_roundings=8)
    if eps == 0:
        return due
    share = max(1.6, 1 / (1 - 2.0 ** (-30 * p)))
    far, far_slope = share * (5 + 6 * p) + 3, 6 * abs(p - 1) + 20 * (1 + p) + 11
    return replace(due, roundings=max(38, far), gradient_roundings=max(62, far_slope))


def log_sum(x: Array, axes: Axes, where: Mask, /, *, strength: float, eps: float = 0.1) -> Expected:
    """λ Σ log(1 + |x|/eps). Gradient λ sign(x)/(eps + |x|), 0 at 0."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms.append(strength * math.log1p(abs(xi) / eps))
        gradient[i] = strength * sign(xi) / (eps + abs(xi))
    far = 7 + (1 + 5 * abs(math.log(eps))) / 27.7
    return Expected(total(terms), gradient, total(terms), np.abs(gradient), roundings=max(8, far), gradient_roundings=8)


def student_t(x: Array, axes: Axes, where: Mask, /, *, strength: float, scale: float = 1.0) -> Expected:
    """λ Σ log(1 + x²/scale²). Gradient 2λ x/(scale² + x²)."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        t, h = abs(xi) / scale, math.hypot(xi, scale)
        terms.append(strength * (math.log1p(t * t) if t < 1e100 else 2 * math.log(t)))
        gradient[i] = 2 * strength * (xi / h) / h
    far = 7 + 5 * abs(math.log(scale)) / 20.7
    return Expected(
        total(terms), gradient, total(terms), np.abs(gradient), roundings=max(11, far), gradient_roundings=11
    )


def transformed_l1(x: Array, axes: Axes, where: Mask, /, *, strength: float, a: float = 1.0) -> Expected:
    """λ Σ (a + 1)|x|/(a + |x|). Gradient λ sign(x) a(a + 1)/(a + |x|)², 0 at 0."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms.append(strength * (a + 1) * (abs(xi) / (a + abs(xi))))
        gradient[i] = strength * sign(xi) * (a / (a + abs(xi))) * ((a + 1) / (a + abs(xi)))
    return Expected(total(terms), gradient, total(terms), np.abs(gradient), roundings=8, gradient_roundings=16)


def tanh_l1(x: Array, axes: Axes, where: Mask, /, *, strength: float, scale: float = 1.0) -> Expected:
    """λ Σ tanh(z), z = scale |x|. Gradient λ scale sign(x)/cosh²(z), and 1/cosh²(z) = 4E/(1 + E)² with E = exp(−2z)."""
    terms, gradient, size = [], np.zeros(x.shape), np.zeros(x.shape)
    for i, xi in counted(x, where):
        z = scale * abs(xi)
        decay = math.exp(-2 * z)
        terms.append(strength * math.tanh(z))
        gradient[i] = strength * scale * sign(xi) * 4 * decay / (1 + decay) ** 2
        size[i] = abs(gradient[i]) * (1 + z) + (2.0**-104 if 43 < z < 46 else 0.0)
    return Expected(total(terms), gradient, total(terms), size, roundings=13, gradient_roundings=16)


ORACLES: dict[str, Oracle] = {
    "Lp": lp,
    "LogSum": log_sum,
    "StudentT": student_t,
    "TransformedL1": transformed_l1,
    "TanhL1": tanh_l1,
}
