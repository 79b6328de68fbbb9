"""Ratios of norms."""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, euclidean, grouped, sign, total


def hoyer_square(
    x: Array, axes: Axes, where: Mask, /, *, strength: float, eps: float = 0.0, over: str = "sample"
) -> Expected:
    """λ (Σ|x|)² / (Σx² + eps); with a sample axis, one ratio per sample, averaged, unless ``over="batch"``.

    A sample of which nothing counts is not a sample. With a = Σ|x| and b = √(Σx² + eps) a ratio is (a/b)², so that no
    square leaves the range of float64. Its gradient is (2a/b²) sign(x) − (2a²/b⁴) x: two terms that cancel at
    |x| = b²/a, so their sizes are added in the scale.
    """
    per_sample = over == "sample" and "sample" in axes
    parts = grouped(x, axes, where, ("sample",) if per_sample else ())
    weight = strength / max(len(parts), 1)
    terms, gradient, size = [], np.zeros(x.shape), np.zeros(x.shape)
    for entries in parts.values():
        a = total(abs(xi) for _, xi in entries)
        b = euclidean([*(xi for _, xi in entries), math.sqrt(eps)])
        if b == 0:
            continue
        terms.append(weight * (a / b) * (a / b))
        for i, xi in entries:
            towards, away = 2 * (a / b) / b * sign(xi), 2 * (a / b) * (a / b) * (xi / b) / b
            gradient[i] = weight * (towards - away)
            size[i] = weight * (abs(towards) + abs(away))
    return Expected(total(terms), gradient, total(terms), size)


ORACLES: dict[str, Oracle] = {"HoyerSquare": hoyer_square}
