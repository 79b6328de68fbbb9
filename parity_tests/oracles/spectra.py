"""Penalties of a matrix, from its singular values or eigenvalues, by rotations: no library factorizes anything here."""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, total
from parity_tests.oracles.matrices import SAME, chosen, nothing, power_of_two, seen, turned

# Note [Factorizations]
# A computed singular value decomposition is that of W + E (Golub and Van Loan 2013, section 8.6). For k ≤ K, the sides
# of W: reduction to a bidiagonal matrix applies 2k reflectors to vectors of at most K, each with a product and a sum
# that are random walks (Higham and Mary 2019): 2√K + 4 roundings; independent errors of 2k of them add up as √(2k), and
# the iteration on the k × k bidiagonal matrix, whose vectors are no longer, doubles this. So ‖E‖_F ≤ p u ‖W‖_F with
#   p = √(8k) (4 + 2√K).
# Values, by Weyl: |δσ_i| ≤ ‖E‖_F, and Σ|δσ_i| ≤ √k ‖E‖_F.
# Gradients, by Wedin: the subspaces of the singular values in question move by ‖δU‖_F + ‖δV‖_F ≤ 2√2 ‖E‖_F/gap, the gap
# being that to the nearest other singular value, or to 0. Within them the orthogonal factor moves by ‖E‖_F/σ, and
# σ ≥ gap, so that U Vᵀ is wrong by 4 ‖E‖_F/gap; a factor σ brings ‖E‖_F more. The condition number ‖W‖_F/gap stands in
# the scale; products over k and coefficients bring √k + 12 roundings: (5p + √k + 12) u S, S the same for all elements.
# Eigenvalues σ² − 1 are wrong by 2σ₁ ‖E‖_F and 3 roundings of σ² + 1. Their gradient 2 P W, P the projector on a
# cluster, is wrong by 2 (σ₁ 2‖E‖_F/gap + ‖E‖_F) ≤ 3p u · 2σ₁ ‖W‖_F/gap; where the cluster is all there is, or is at 0,
# P W is W or 0, and wrong by ‖E‖_F alone.


def _backward(w: Array) -> float:
    """p of the note."""
    k, longest = sorted(w.shape)
    return math.sqrt(8 * k) * (4 + 2 * math.sqrt(longest))


def _gradient_factor(w: Array) -> float:
    return 5 * _backward(w) + math.sqrt(min(w.shape)) + 12


def _dot(a: Array, b: Array) -> float:
    return total((a * b).tolist())


def _svd(w: Array) -> tuple[list[float], list[Array], list[Array]]:
    """Singular values from the largest, left and right vectors (0 for a zero value), by one-sided Jacobi rotations.

    Pairs of rows are rotated until all are orthogonal: their lengths are the singular values, their directions the
    right vectors, and the rotations together the left ones (Golub and Van Loan 2013, section 8.6.3).
    """
    wide = w.shape[0] <= w.shape[1]
    rows = [row.copy() for row in (w if wide else w.T)]
    left = [row.copy() for row in np.eye(len(rows))]
    zero = 2.0**-46 * math.sqrt(total(_dot(row, row) for row in rows))
    for _ in range(40):
        rotated = False
        for p in range(len(rows)):
            for q in range(p + 1, len(rows)):
                pp, qq, pq = _dot(rows[p], rows[p]), _dot(rows[q], rows[q]), _dot(rows[p], rows[q])
                if min(pp, qq) <= zero * zero or abs(pq) <= 2.0**-51 * math.sqrt(pp) * math.sqrt(qq):
                    continue
                rotated = True
                c, s = _rotation(pp, qq, pq)
                rows[p], rows[q] = c * rows[p] - s * rows[q], s * rows[p] + c * rows[q]
                left[p], left[q] = c * left[p] - s * left[q], s * left[p] + c * left[q]
        if not rotated:
            break
    lengths = [math.sqrt(_dot(row, row)) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: -lengths[i])
    sigma = [lengths[i] if lengths[i] > zero else 0.0 for i in order]
    right = [rows[i] / lengths[i] if lengths[i] > zero else 0.0 * rows[i] for i in order]
    u = [left[i] for i in order]
    return (sigma, u, right) if wide else (sigma, right, u)


def _rotation(pp: float, qq: float, pq: float) -> tuple[float, float]:
    """Cosine and sine of the smaller angle that makes the off-diagonal element of [[pp, pq], [pq, qq]] zero."""
    zeta = (qq - pp) / (2 * pq)
    t = math.copysign(1.0, zeta) / (abs(zeta) + math.hypot(1.0, zeta))
    c = 1 / math.hypot(1.0, t)
    return c, c * t


def _eigen(a: Array) -> tuple[list[float], list[Array]]:
    """Eigenvalues and vectors of a symmetric matrix, by cyclic Jacobi rotations (the same, section 8.5)."""
    a, vectors = a.copy(), np.eye(len(a))
    tiny = 2.0**-60 * math.sqrt(total((a * a).ravel().tolist()))
    for _ in range(40):
        rotated = False
        for p in range(len(a)):
            for q in range(p + 1, len(a)):
                if abs(a[p, q]) <= tiny:
                    continue
                rotated = True
                c, s = _rotation(float(a[p, p]), float(a[q, q]), float(a[p, q]))
                a[p], a[q] = c * a[p] - s * a[q], s * a[p] + c * a[q]
                a[:, p], a[:, q] = c * a[:, p] - s * a[:, q], s * a[:, p] + c * a[:, q]
                a[p, q] = a[q, p] = 0.0
                vectors[p], vectors[q] = c * vectors[p] - s * vectors[q], s * vectors[p] + c * vectors[q]
        if not rotated:
            break
    return [float(a[i, i]) for i in range(len(a))], list(vectors)


def spectral_norm(x: Array, axes: Axes, where: Mask, /, *, strength: float, power: int = 2) -> Expected:
    """λ σ₁, or λ/2 σ₁². Gradient λ u vᵀ (times σ₁), the mean over the vectors where σ₁ is repeated; 0 at W = 0."""
    w, native = seen(x, axes, where)
    if w.size == 0:
        return nothing(x)
    scale = power_of_two(w)
    sigma, left, right = _svd(w / scale)
    top, size = sigma[0], math.sqrt(total(s * s for s in sigma))
    if top == 0:
        return nothing(x)
    tied = [i for i, s in enumerate(sigma) if s >= top * (1 - SAME)]
    gap = top - max([s for i, s in enumerate(sigma) if i not in tied], default=0.0)
    outer = sum((np.outer(left[i], right[i]) for i in tied), start=np.zeros(w.shape)) / len(tied)
    weight = strength * (1.0 if power == 1 else top * scale)
    return Expected(
        weight * (1.0 if power == 1 else 0.5) * top * scale,
        native(weight * outer),
        weight * size * scale,
        native(np.full(w.shape, weight / len(tied) * size / gap)),
        factor=2 * _backward(w) + 4,
        gradient_factor=_gradient_factor(w),
    )


def nuclear(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σσ. Gradient λ Σ u vᵀ over the values that are not 0: at a 0 the subgradients are a ball around this."""
    w, native = seen(x, axes, where)
    if w.size == 0:
        return nothing(x)
    scale = power_of_two(w)
    sigma, left, right = _svd(w / scale)
    if sigma[0] == 0:
        return nothing(x)
    kept = [i for i, s in enumerate(sigma) if s > sigma[0] * SAME]
    size = math.sqrt(total(s * s for s in sigma))
    outer = sum((np.outer(left[i], right[i]) for i in kept), start=np.zeros(w.shape))
    return Expected(
        strength * total(sigma) * scale,
        native(strength * outer),
        strength * size * math.sqrt(len(sigma)) * scale,
        native(np.full(w.shape, strength * size / sigma[kept[-1]])),
        factor=_backward(w) + 5 + math.log2(len(sigma)),
        gradient_factor=_gradient_factor(w),
    )


def spectral_isometry(x: Array, axes: Axes, where: Mask, /, *, strength: float, side: str = "min") -> Expected:
    """λ max|λ_i(G) − 1|, G the Gram matrix of the rows (``out``), the columns (``in``), the fewer of them, or of both.

    Gradient λ times the mean of ±2 v vᵀ W over the eigenvectors v that reach the maximum, above 1 or below; 0 at G = I.
    """
    w, native = seen(x, axes, where)
    if w.size == 0:
        return nothing(x)
    scale = power_of_two(w, least=1.0)
    parts = [(_furthest(turned(w / scale, each), scale), each) for each in chosen(side, w)]
    return Expected(
        strength * total(value for (value, *_), _ in parts),
        native(strength * sum((turned(slope, each) for (_, slope, *_), each in parts), start=np.zeros(w.shape))),
        strength * total(size for (_, _, size, _), _ in parts),
        native(np.full(w.shape, strength * total(size for (*_, size), _ in parts))),
        factor=_backward(w) + 8,
        gradient_factor=_gradient_factor(w),
    )


def _furthest(rows: Array, scale: float) -> tuple[float, Array, float, float]:
    """The largest |λ − 1| for the rows times ``scale``, its slope, and the scales of both as the note has them."""
    gram = np.array([[_dot(a, b) for b in rows] for a in rows])
    values, vectors = _eigen(gram)
    sigma = [math.sqrt(max(value, 0.0)) for value in values]
    size, top, one = math.sqrt(total(max(value, 0.0) for value in values)), max(sigma), 1 / scale
    distances = [value - one * one for value in values]
    furthest, room = max(map(abs, distances)), SAME * max(top, one) ** 2
    tied = [i for i, d in enumerate(distances) if abs(d) >= furthest - room and furthest > room]
    slope, slope_scale = np.zeros(rows.shape), 2 * top
    for towards in (1.0, -1.0):
        cluster = [i for i in tied if distances[i] * towards > 0]
        for i in cluster:
            projected = sum((vectors[i][a] * rows[a] for a in range(len(rows))), start=np.zeros(rows.shape[1]))
            slope += towards * 2 / len(tied) * scale * np.outer(vectors[i], projected)
        others = [s for i, s in enumerate(sigma) if i not in cluster]
        if cluster and others and min(sigma[i] for i in cluster) > 1e-7 * top:
            gap = min(abs(sigma[i] - s) for i in cluster for s in [*others, 0.0])
            slope_scale += 2 / len(tied) * top * size / gap
        elif cluster:
            slope_scale += 2 / len(tied) * size
    value = abs(scale * scale * (distances[max(range(len(values)), key=lambda i: abs(distances[i]))]))
    return value, slope, (2 * top * size * scale) * scale + 1.0, slope_scale * scale


ORACLES: dict[str, Oracle] = {
    "SpectralNorm": spectral_norm,
    "Nuclear": nuclear,
    "SpectralIsometry": spectral_isometry,
}
