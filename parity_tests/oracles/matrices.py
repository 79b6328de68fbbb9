"""Penalties of a weight as a matrix W with one row per output."""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, total

Vectors = list[list[float]]


def orthogonal(x: Array, axes: Axes, where: Mask, /, *, strength: float, side: str = "min") -> Expected:
    """λ ‖G − I‖²_F, G the Gram matrix of the rows of W (``out``), of its columns (``in``), of the fewer, or of both.

    An empty matrix costs nothing, whatever the identity of its other side.
    """
    if where is not None:
        raise NotImplementedError("a mask over a weight matrix has no oracle")
    if x.size == 0:
        return Expected(0.0, np.zeros(x.shape), 0.0, np.zeros(x.shape))
    along = axes.index("out")
    moved = np.moveaxis(x, along, 0)
    w = moved.reshape(moved.shape[0], math.prod(moved.shape[1:]))
    if side == "min":
        side = "out" if w.shape[0] <= w.shape[1] else "in"
    parts, grams = [], []
    if side in ("out", "both"):
        parts.append(_gram_defect(w.tolist(), w.shape))
        grams.append(w.shape)
    if side in ("in", "both"):
        value, slope, scale, slope_scale = _gram_defect(w.T.tolist(), w.T.shape)
        parts.append((value, slope.T, scale, slope_scale.T))
        grams.append(w.T.shape)

    def native(slopes: list[Array]) -> Array:
        combined = strength * np.sum(slopes, axis=0)
        return np.moveaxis(combined.reshape(moved.shape), 0, along)

    return Expected(
        strength * total(part[0] for part in parts),
        native([part[1] for part in parts]),
        strength * total(part[2] for part in parts),
        native([part[3] for part in parts]),
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


ORACLES: dict[str, Oracle] = {"Orthogonal": orthogonal}
