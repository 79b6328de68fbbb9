"""The floating types of the matrix, and exact rounding to each of them in NumPy alone.

Inputs are rounded to the type under test before the oracle sees them, so the rounding of an input is never mistaken
for an error of a penalty. Arrays travel through the suite as float64; every narrower value is exact in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = NDArray[np.floating] | np.floating | float


@dataclass(frozen=True)
class Precision:
    """A floating type: its unit roundoff, its range, and the type its sums are accumulated and returned in."""

    name: str
    short: str
    unit: float
    largest: float
    smallest_normal: float
    accumulator: str


DTYPES: dict[str, Precision] = {
    "float64": Precision("float64", "f64", 2.0**-53, float(np.finfo(np.float64).max), 2.0**-1022, "float64"),
    "float32": Precision("float32", "f32", 2.0**-24, float(np.finfo(np.float32).max), 2.0**-126, "float32"),
    "bfloat16": Precision("bfloat16", "bf16", 2.0**-8, (2 - 2.0**-7) * 2.0**127, 2.0**-126, "float32"),
    "float16": Precision("float16", "f16", 2.0**-11, 65504.0, 2.0**-14, "float32"),
}


def to_bfloat16(array: Numbers) -> Array:
    """Round to the nearest bfloat16, ties to even, by the bits of the float32: bfloat16 is its upper half."""
    with np.errstate(over="ignore"):
        single = np.asarray(array, dtype=np.float32)
    bits = single.view(np.uint32).astype(np.uint64)
    # Adding half of the last place kept (less one where that place is even) carries exactly when rounding up is due.
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    result = rounded.astype(np.uint32).view(np.float32).astype(np.float64)
    return np.where(np.isnan(single), np.nan, result)


def round_to(array: Numbers, dtype: str) -> Array:
    """``array`` rounded to ``dtype``, as float64."""
    if dtype == "bfloat16":
        return to_bfloat16(array)
    with np.errstate(over="ignore"):
        return np.asarray(array, dtype=np.float64).astype(dtype).astype(np.float64)


def unit(dtype: str) -> float:
    """The unit roundoff of ``dtype``: half the distance from 1 to the next number."""
    return DTYPES[dtype].unit


def accumulator(dtype: str) -> str:
    """The type that a penalty of an array of ``dtype`` is accumulated and returned in."""
    return DTYPES[dtype].accumulator
