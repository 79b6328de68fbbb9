"""Norms of the whole array."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, counted, euclidean, sign


def l2_norm(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ ‖x‖₂. Gradient λ x/‖x‖₂, and 0 at the zero array: the shortest vector of the unit ball."""
    entries = list(counted(x, where))
    norm = euclidean(xi for _, xi in entries)
    gradient = np.zeros(x.shape)
    for i, xi in entries:
        gradient[i] = strength * xi / norm if norm != 0 else 0.0
    value = strength * norm
    return Expected(value, gradient, value, np.abs(gradient))


def largest(values: Iterable[float]) -> float:
    """max|x|, 0 of nothing; NaN beside a NaN."""
    sizes = [abs(value) for value in values]
    return math.nan if any(math.isnan(size) for size in sizes) else max(sizes, default=0.0)


def linf_norm(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ max|x|. Every subgradient is a weighted mean of the λ sign(x) eᵢ at the elements that are largest.

    The shortest of them gives the k elements that tie 1/k each. At the zero array 0 is among them.
    """
    entries = list(counted(x, where))
    top = largest(xi for _, xi in entries)
    ties = sum(1 for _, xi in entries if abs(xi) == top)
    gradient = np.zeros(x.shape)
    for i, xi in entries:
        gradient[i] = strength * sign(xi) / ties if abs(xi) == top else 0.0
    value = strength * top
    return Expected(value, gradient, value, np.abs(gradient))


ORACLES: dict[str, Oracle] = {"L2Norm": l2_norm, "LinfNorm": linf_norm}
