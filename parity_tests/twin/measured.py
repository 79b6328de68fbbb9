"""Relative errors of what two sides gave."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def size(array: np.ndarray) -> str:
    """A shape as text."""
    return "×".join(map(str, array.shape)) or "scalar"


def largest(got: np.ndarray, due: np.ndarray) -> float:
    """The largest difference, relative to the largest element; NaN and Inf are equal to their like only."""
    if not due.size:
        return 0.0
    same = (got == due) | (np.isnan(got) & np.isnan(due))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(got.astype(float) - due.astype(float)))
    if not np.all(np.isfinite(gap)):
        return float("inf")
    scale = np.max(np.abs(due[np.isfinite(due)]), initial=0.0)
    return ratio(float(np.max(gap)), float(scale))


def ratio(error: float, scale: float) -> float:
    """An error in units of a scale; 0 of 0 is 0."""
    return 0.0 if error == 0 else error / scale if scale > 0 else float("inf")


def norm(arrays: Iterable[np.ndarray]) -> float:
    """The 2-norm of several arrays together, scaled so that no square overflows."""
    flat = [np.ravel(array).astype(float) for array in arrays]
    whole = np.concatenate(flat) if flat else np.zeros(0)
    peak = float(np.max(np.abs(whole), initial=0.0))
    if peak == 0 or not np.isfinite(peak):
        return peak
    return peak * float(np.sqrt(np.sum((whole / peak) ** 2)))
