"""Penalties of a weight as a matrix W with one row per output, from the lengths and products of its rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean
from typing import NamedTuple

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, euclidean, grouped, sign, total

Vectors = list[list[float]]
SAME = 1e-12  # what is nearer than this, relatively, is equal but for the rounding of the oracle itself


def seen(x: Array, axes: Axes, where: Mask) -> tuple[Array, Callable[[Array], Array]]:
    """The array as a matrix with one row per output, and the way back for its gradient."""
    if where is not None:
        raise NotImplementedError("a mask over a weight matrix has no oracle")
    along = axes.index("out")
    moved = np.moveaxis(x, along, 0)
    w = moved.reshape(moved.shape[0], math.prod(moved.shape[1:]))
    return w, lambda slope: np.moveaxis(slope.reshape(moved.shape), 0, along)


def chosen(side: str, w: Array) -> tuple[str, ...]:
    """The sides that a word means: rows (``out``), columns (``in``), the fewer of the two, or both."""
    fewer = "out" if w.shape[0] <= w.shape[1] else "in"
    return {"min": (fewer,), "both": ("out", "in")}.get(side, (side,))


def turned(w: Array, side: str) -> Array:
    """The vectors of a side as rows, and back again."""
    return w if side == "out" else w.T


def nothing(x: Array) -> Expected:
    """An empty matrix costs nothing."""
    return Expected(0.0, np.zeros(x.shape), 0.0, np.zeros(x.shape))


def power_of_two(x: Array, least: float = 0.0) -> float:
    """A power of two near the largest magnitude, so that no product of quotients by it is out of range."""
    largest = max(float(np.max(np.abs(x), initial=0.0)), least)
    return 2.0 ** (math.frexp(largest)[1] - 1) if largest > 0 else 1.0


def orthogonal(x: Array, axes: Axes, where: Mask, /, *, strength: float, side: str = "min") -> Expected:
    """λ ‖G − I‖²_F, G the Gram matrix of the rows of W (``out``), of its columns (``in``), of the fewer, or of both.

    An empty matrix costs nothing, whatever the identity of its other side.
    """
    w, native = seen(x, axes, where)
    if w.size == 0:
        return nothing(x)
    parts, grams = [], []
    for each in chosen(side, w):
        rows = turned(w, each)
        value, slope, scale, slope_scale = _gram_defect(rows.tolist(), rows.shape)
        parts.append((value, turned(slope, each), scale, turned(slope_scale, each)))
        grams.append(rows.shape)
    return Expected(
        strength * total(part[0] for part in parts),
        native(strength * np.sum([part[1] for part in parts], axis=0)),
        strength * total(part[2] for part in parts),
        native(strength * np.sum([part[3] for part in parts], axis=0)),
        tuple(grams),
    )


def _gram_defect(vectors: Vectors, shape: tuple[int, ...]) -> tuple[float, Array, float, Array]:
    """Σ_ij E_ij² with E_ij = ⟨v_i, v_j⟩ − [i = j], its gradient 4 Σ_j E_ij v_j, and the scale of both.

    An error of E_ij is in proportion to A_ij = Σ_k |v_ik v_jk| + [i = j], which E_ij² turns into 2 |E_ij| A_ij and the
    gradient into 4 Σ_j A_ij |v_j|.
    """
    m, k = shape
    terms, sizes = [], []
    slope, slope_scale = np.zeros(shape), np.zeros(shape)
    for i in range(m):
        defects, reach = [], []
        for j in range(m):
            products = [a * b for a, b in zip(vectors[i], vectors[j], strict=True)]
            defects.append(total([*products, -1.0 if i == j else 0.0]))
            reach.append(total([*map(abs, products), 1.0 if i == j else 0.0]))
        terms += [e * e for e in defects]
        sizes += [2 * abs(e) * a + e * e for e, a in zip(defects, reach, strict=True)]
        for c in range(k):
            slope[i, c] = 4 * total(defects[j] * vectors[j][c] for j in range(m))
            slope_scale[i, c] = 4 * total(reach[j] * abs(vectors[j][c]) for j in range(m))
    return total(terms), slope, total(sizes), slope_scale


# Note [Cosines]
# cos_ij = G_ij/(n_i n_j) with G and A = |W||W|ᵀ as in the note on Gram matrices of bounds.py, for m rows of length K;
# the division of each row by a power of two is exact. In units u, relative to A_ij/(n_i n_j) ≥ |cos_ij|:
#   cosine     1 + √K of the product, twice ½ log₂ K + 1½ of the lengths, 2 of their product and the quotient:
#              c = 6 + √K + log₂ K.
#   value      a mean of them adds 2 log₂ m for the sum of m² numbers, 1 for the count and 2 for the strength; a maximum
#              is wrong by no more than the worst of the cosines, a mean of ties by log₂ m more: 3 + 2 log₂ m + c.
#   gradient   Σ_j s_ij (u_j − cos_ij u_i)/‖w_i‖, u the directions. In the first part a weight with its 3 roundings over
#              two lengths, log₂ K + 4, and a second product, √m; in the second part the cosine, c, the sum over the
#              pairs of a row, 2 log₂ m, a length more, ½ log₂ K + 1½, the derivative of the root and the square, 4,
#              and the strength and the weight, 3. Both parts: 15 + √K + √m + 2 log₂ K + 2 log₂ m, relative to
#              (|u_j| + A_ij/(n_i n_j) |u_i|)/‖w_i‖.
# A sign is that of a sum: where it is not clear of its error (1 + √K) u A, gradients say nothing.


class Pair(NamedTuple):
    """Two rows: the cosine, the same with all products positive, and the slopes of |cos| in both, with their sizes."""

    cosine: float
    reach: float
    slopes: tuple[tuple[int, Array, Array], ...]


def _pairs(rows: Array) -> list[Pair]:
    """All pairs i < j. A zero row has the cosine 0 and no slope with any other; an orthogonal pair has the slope 0."""
    scales = [power_of_two(row) for row in rows]
    small = [row / scale for row, scale in zip(rows, scales, strict=True)]
    lengths = [euclidean(row.tolist()) for row in small]
    pairs = []
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            both = lengths[i] * lengths[j]
            if both == 0:
                pairs.append(Pair(0.0, 0.0, ()))
                continue
            products = (small[i] * small[j]).tolist()
            cosine, reach = total(products) / both, total(map(abs, products)) / both
            slopes = []
            for a, b in ((i, j), (j, i)):
                own, other, length = small[a] / lengths[a], small[b] / lengths[b], lengths[a] * scales[a]
                slope = sign(cosine) * (other - cosine * own) / length
                slopes.append((a, slope, (np.abs(other) + reach * np.abs(own)) / length))
            pairs.append(Pair(abs(cosine), reach, tuple(slopes)))
    return pairs


def cosine_orthogonal(x: Array, axes: Axes, where: Mask, /, *, strength: float, side: str = "out") -> Expected:
    """λ times the mean over pairs of rows i < j of |cos(w_i, w_j)|; of columns, of the fewer, or of both summed."""
    return _cosines(x, axes, where, strength, side, lambda pairs: [1 / len(pairs)] * len(pairs), fmean)


def mutual_coherence(x: Array, axes: Axes, where: Mask, /, *, strength: float, side: str = "min") -> Expected:
    """λ times the largest |cos(w_i, w_j)| of two rows; its slope is the mean of those of all pairs that reach it."""

    def reach_it(pairs: list[Pair]) -> list[float]:
        top = max(pair.cosine for pair in pairs)
        tied = [pair.cosine >= top * (1 - SAME) for pair in pairs]
        return [1 / sum(tied) if each else 0.0 for each in tied]

    return _cosines(x, axes, where, strength, side, reach_it, max)


def _cosines(
    x: Array,
    axes: Axes,
    where: Mask,
    strength: float,
    side: str,
    weigh: Callable[[list[Pair]], list[float]],
    combine: Callable[[list[float]], float],
) -> Expected:
    w, native = seen(x, axes, where)
    terms, sizes, slope, slope_scale, factors = [], [], np.zeros(w.shape), np.zeros(w.shape), [(0.0, 0.0)]
    for each in chosen(side, w) if w.size else ():
        rows = turned(w, each)
        pairs = _pairs(rows)
        sizes.append(strength * combine([pair.reach for pair in pairs] or [0.0]))
        for pair, weight in zip(pairs, weigh(pairs) if pairs else [], strict=True):
            terms.append(strength * weight * pair.cosine)
            for i, towards, size in pair.slopes if weight else ():
                turned(slope, each)[i] += strength * weight * towards
                turned(slope_scale, each)[i] += strength * weight * size
        m, k = rows.shape
        root, logs = math.sqrt(k), 2 * math.log2(m)
        factors.append((9 + root + math.log2(k) + logs, 15 + root + math.sqrt(m) + 2 * math.log2(k) + logs))
    return Expected(
        total(terms),
        native(slope),
        total(sizes),
        native(slope_scale),
        factor=max(value for value, _ in factors),
        gradient_factor=max(gradient for _, gradient in factors),
    )


# Note [Excess over a limit]
# r = ‖w‖₂ of K elements is wrong by (1½ + ½ log₂ K) u r, so e = r − c by δ = ((1½ + ½ log₂ K) r + c + e) u, c having
# one rounding to the type, and e never more than r.
#   value      e² by 2 e δ + e² u, its sum over m rows and the strength by (log₂ m + 2) u e²: with S = Σ 2e (r + c) + e²
#              (6 + log₂ n) u S.
#   gradient   2 e x/r by 2 δ |x|/r and, for the root, its derivative, the square and the strength, (8 + ½ log₂ K) u
#              times itself: with S = 2 (r + c + e) |x|/r it is (10 + log₂ n) u S.


def max_norm(x: Array, axes: Axes, where: Mask, /, *, strength: float, limit: float) -> Expected:
    """λ Σ max(‖w_i‖₂ − c, 0)² over outputs. Gradient 2λ (‖w_i‖₂ − c) w_i/‖w_i‖₂ beyond the limit, and 0 up to it."""
    terms, sizes, gradient, size = [], [], np.zeros(x.shape), np.zeros(x.shape)
    for entries in grouped(x, axes, where, ("out",)).values():
        length = euclidean(xi for _, xi in entries)
        excess = length - limit
        if excess <= 0:
            continue
        terms.append(strength * excess * excess)
        sizes.append(strength * (2 * excess * (length + limit) + excess * excess))
        for i, xi in entries:
            gradient[i] = 2 * strength * excess * (xi / length)
            size[i] = 2 * strength * (length + limit + excess) * abs(xi / length)
    return Expected(total(terms), gradient, total(sizes), size, roundings=6, gradient_roundings=10)


ORACLES: dict[str, Oracle] = {
    "Orthogonal": orthogonal,
    "CosineOrthogonal": cosine_orthogonal,
    "MutualCoherence": mutual_coherence,
    "MaxNorm": max_norm,
}
