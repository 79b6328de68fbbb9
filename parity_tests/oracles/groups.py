"""The Euclidean norm of the whole array, and sums of group norms."""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, counted, euclidean, grouped, total


def l2_norm(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ ‖x‖₂. Gradient λ x/‖x‖₂, and 0 at the zero array: the shortest vector of the unit ball."""
    entries = list(counted(x, where))
    norm = euclidean(xi for _, xi in entries)
    gradient = np.zeros(x.shape)
    for i, xi in entries:
        gradient[i] = strength * xi / norm if norm != 0 else 0.0
    value = strength * norm
    return Expected(value, gradient, value, np.abs(gradient))


def group_lasso(
    x: Array,
    axes: Axes,
    where: Mask,
    /,
    *,
    strength: float,
    groups: str | tuple[str, ...] = "out",
    size_weighted: bool = True,
) -> Expected:
    """λ Σ_g √n_g ‖x_g‖₂, n_g the number of elements of the group that count (√n_g is left out without size_weighted).

    Gradient λ √n_g x/‖x_g‖₂, and 0 throughout a group that is zero.
    """
    names = (groups,) if isinstance(groups, str) else groups
    terms, gradient = [], np.zeros(x.shape)
    for entries in grouped(x, axes, where, names).values():
        weight = strength * (math.sqrt(len(entries)) if size_weighted else 1.0)
        norm = euclidean(xi for _, xi in entries)
        terms.append(weight * norm)
        for i, xi in entries:
            gradient[i] = weight * xi / norm if norm != 0 else 0.0
    return Expected(total(terms), gradient, total(terms), np.abs(gradient))


ORACLES: dict[str, Oracle] = {"L2Norm": l2_norm, "GroupLasso": group_lasso}
