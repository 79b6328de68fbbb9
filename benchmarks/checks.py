"""Parity before any timing: a candidate that computes something else is not a candidate.

The bounds are derived. u = 2⁻²⁴, S the exact sum of magnitudes of n terms:

- a pairwise or blocked float32 sum: (2 + log₂ n) u S, and k u S more where k such sums are added one by one;
- ``torch.norm``, which accumulates one element after the other: n u S, the bound of a running sum;
- gradients through a model: normwise, per tensor, at most three times the error that the float32 code written by hand
  has against the same code in float64, and 4 u of the gradient beside it;
- an element of a gradient that is added to: 3 u of the magnitudes added.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

UNIT = 2.0**-24
PIECE = 1 << 20
Array = NDArray[np.floating]


class ParityError(Exception):
    """A candidate's numbers are not those of the penalty; nothing of its question is timed."""


def pairwise(n: int) -> float:
    """B(n), the bound of a sum of n terms, relative to their magnitudes."""
    return (2 + math.log2(max(n, 1))) * UNIT


def running(n: int) -> float:
    """The bound of one element added after the other."""
    return n * UNIT


def magnitudes(arrays: Iterable[Array]) -> float:
    """Σ|x|, in float64 by pieces, whose sums are added exactly."""
    pieces = (flat[i : i + PIECE] for flat in map(np.ravel, arrays) for i in range(0, flat.size, PIECE))
    return math.fsum(float(np.abs(piece.astype(np.float64)).sum()) for piece in pieces)


def value(name: str, got: float, due: float, relative: float) -> None:
    """A value within a relative bound of the exact one."""
    if not abs(got - due) <= relative * abs(due):
        raise ParityError(f"{name}: the value must be {due!r} within {relative:.1e}; got {got!r}.")


def gradients(name: str, got: Mapping[str, Array], hand: Mapping[str, Array], exact: Mapping[str, Array]) -> None:
    """Gradients through a model, against the same in float64; what is written by hand tells how far float32 may be."""
    if got.keys() != exact.keys():
        raise ParityError(f"{name}: gradients must be those of {sorted(exact)}; got {sorted(got)}.")
    for key, due in exact.items():
        allowed = 3 * _distance(hand[key], due) + 4 * UNIT * float(np.linalg.norm(due))
        error = _distance(got[key], due)
        if not error <= allowed:
            raise ParityError(f"{name}: the gradient of {key} must be within {allowed:.1e}; it is {error:.1e} off.")


def added(name: str, got: Array, before: Array, slope: Array) -> None:
    """Elements of a gradient to which another was added."""
    due = before.astype(np.float64) + slope
    allowed = 3 * UNIT * (np.abs(before) + np.abs(slope))
    if not np.all(np.abs(got - due) <= allowed):
        raise ParityError(f"{name}: gradients must be within 3 u; got up to {float(np.max(np.abs(got - due)))!r} off.")


def _distance(a: Array, b: Array) -> float:
    return float(np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64)))
