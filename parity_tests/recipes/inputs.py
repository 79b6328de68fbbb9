"""The arrays that every library is given, in canonical layout: away from kinks, and the same everywhere."""

from __future__ import annotations

import numpy as np

from parity_tests.precision import Array


def _normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def arrays() -> dict[str, Array]:
    """Fresh arrays by name; kernels are ``out, in, k...``, activations ``sample, p..., feature``."""
    return {
        "kernel": _normal(1, 4, 6),
        "tall kernel": _normal(2, 6, 4),
        "unit kernel": _unit(_normal(3, 4, 6)),
        "convolution": _normal(4, 4, 3, 2, 2),
        "scale": _normal(5, 7),
        "activation": _normal(6, 5, 4),
        "sequence": _normal(7, 3, 6, 4),
        # Powers of two of samples and positions: what a library counts in float32 is then exact.
        "router": _normal(8, 2, 8, 4),
        "one group": _normal(9, 1, 16, 4),
        # Standard deviations on both sides of 1, none of them near it.
        "embedding": _normal(10, 8, 5) * np.array([0.3, 0.5, 1.0, 2.0, 3.0]),
    }


def _unit(rows: Array) -> Array:
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
