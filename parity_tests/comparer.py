"""The one place where a result is held against its oracle.

It never replaces a NaN, never broadcasts, never converts a type in silence and never passes on nothing: a wrong shape,
a wrong dtype and an array that is empty where none was declared are failures like a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parity_tests.precision import Array, round_to


class Mismatch(AssertionError):
    """A result that is not the oracle's."""


@dataclass(frozen=True)
class Measured:
    """What a backend gave: the numbers, exact in float64, and the dtype that they came in."""

    array: Array
    dtype: str


@dataclass(frozen=True)
class Cell:
    """What a comparison is of; ``n`` is the number of elements of the penalised array."""

    name: str
    penalty: str
    mode: str
    dtype: str
    n: int


@dataclass(frozen=True)
class Row:
    """One comparison, as it stands in the ledger: its worst element, the one nearest to or furthest over its bound."""

    cell: str
    penalty: str
    mode: str
    dtype: str
    n: int
    quantity: str
    level: str
    error: float
    bound: float
    ratio: float


def same_form(what: str, got: Measured, like: Array, dtype: str, empty: bool) -> None:
    """Fail unless ``got`` has the shape and the dtype that are due, and elements, unless none were declared."""
    if got.array.shape != like.shape:
        raise Mismatch(f"{what}: shape must be {like.shape}; got {got.array.shape}.")
    if got.dtype != dtype:
        raise Mismatch(f"{what}: dtype must be {dtype}; got {got.dtype}.")
    if (got.array.size == 0) != empty:
        raise Mismatch(f"{what}: {got.array.size} elements to compare, declared {'empty' if empty else 'not empty'}.")


def errors(
    what: str, got: Array, expected: Array, dtype: str, may_overflow: bool = False, allowed: Array | float = 0.0
) -> Array:
    """The error of each element; NaN matches NaN, an infinity its own sign.

    A number beyond the range of ``dtype`` must come out as not finite, and one that what is ``allowed`` can take there
    as either. With ``may_overflow`` every element may, since a power inside the formula is beyond the range; it still
    may not come out as a wrong finite number.
    """
    special = ~np.isfinite(expected)
    size, reach = np.where(special, 0.0, np.abs(expected)), np.where(special, 0.0, allowed)
    beyond = np.isinf(round_to(np.maximum(size - reach, 0.0), dtype))
    over_the_edge = np.isinf(round_to(size + reach, dtype)) & (got == np.copysign(np.inf, expected))
    excused = ~np.isfinite(got) & (beyond | may_overflow) | over_the_edge
    same = (np.isnan(expected) & np.isnan(got)) | (got == expected)
    wrong = ~excused & np.where(special, ~same, beyond | ~np.isfinite(got))
    if np.any(wrong):
        at = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))
        want, have = np.atleast_1d(expected)[at], np.atleast_1d(got)[at]
        raise Mismatch(f"{what}: expected {want!r}, got {have!r} at {at}.")
    plain = ~special & ~excused
    return np.asarray(np.abs(np.where(plain, got, 0.0) - np.where(plain, expected, 0.0)))


class Comparer:
    """Compares, counts, and hands every comparison to the ledger before it judges it."""

    def __init__(self, record: Callable[[Row], None]) -> None:
        self._record = record
        self.count = 0
        self.worst = 0.0

    def close(
        self,
        cell: Cell,
        quantity: str,
        level: str,
        got: Measured,
        expected: Array,
        allowed: Array,
        dtype: str,
        *,
        rounding: Array | float = 0.0,
        empty: bool = False,
        may_overflow: bool = False,
    ) -> None:
        """Fail unless ``got`` is of ``dtype`` and every element lies within ``allowed`` of ``expected``.

        ``rounding`` is what the last rounding, to a narrow ``dtype``, may have added: it is no error of the penalty.
        """
        what = f"{cell.name} {cell.mode} {quantity}"
        expected, allowed = np.asarray(expected), np.asarray(allowed)
        same_form(what, got, expected, dtype, empty)
        if allowed.shape != expected.shape:
            raise ValueError(f"{what}: allowed must be of shape {expected.shape}; got {allowed.shape}.")
        error = np.maximum(errors(what, got.array, expected, dtype, may_overflow, allowed) - rounding, 0.0)
        self._judge(what, cell, quantity, level, error, allowed)

    def normwise(
        self,
        cell: Cell,
        quantity: str,
        level: str,
        got: Measured,
        expected: Array,
        factor: float,
        dtype: str = "float64",
    ) -> None:
        """Fail unless ``got`` is of ``dtype`` and ‖got − expected‖₂ ≤ factor · ‖expected‖₂."""
        what = f"{cell.name} {cell.mode} {quantity}"
        expected = np.asarray(expected)
        same_form(what, got, expected, dtype, empty=False)
        error = np.linalg.norm(np.ravel(errors(what, got.array, expected, dtype)))
        allowed = factor * np.linalg.norm(np.ravel(expected))
        self._judge(what, cell, quantity, level, np.asarray(error), np.asarray(allowed))

    def _judge(
        self,
        what: str,
        cell: Cell,
        quantity: str,
        level: str,
        error: NDArray[np.floating],
        allowed: NDArray[np.floating],
    ) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(error == 0, 0.0, error / allowed)
        worst = np.unravel_index(np.argmax(ratio), ratio.shape) if ratio.size else None
        numbers = (
            (0.0, 0.0, 0.0) if worst is None else (float(error[worst]), float(allowed[worst]), float(ratio[worst]))
        )
        self.count += 1
        self.worst = float(np.maximum(self.worst, numbers[2]))  # which keeps a NaN
        self._record(
            Row(cell.name, cell.penalty, cell.mode, cell.dtype, cell.n, quantity, level, *numbers),
        )
        if not numbers[2] <= 1:
            raise Mismatch(
                f"{what}: error {numbers[0]:.3e} is {numbers[2]:.3g} times its bound {numbers[1]:.3e} at {worst}."
            )
