"""The tester tested: the comparer fails when it must, passes when it may, and counts either way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parity_tests.bounds import bound, walk
from parity_tests.comparer import Cell, Comparer, Measured, Mismatch, Row
from parity_tests.configs import config
from parity_tests.precision import Array

CELL = Cell("cell", "L1", "mode", "float64", 3)
THREE = np.array([1.0, -2.0, 0.0])
BOUND = 1e-13 * np.abs(THREE)


def rows_of(got: Array, expected: Array, allowed: Array, **options: object) -> list[Row]:
    """The rows that a comparison leaves, also when it fails."""
    rows: list[Row] = []
    dtype = str(options.pop("dtype", "float64"))
    due = str(options.pop("due", "float64"))
    Comparer(rows.append).close(CELL, "value", "A", Measured(got, dtype), expected, allowed, due, **options)  # pyright: ignore[reportArgumentType]
    return rows


def test_equal_arrays_pass_and_leave_one_row() -> None:
    """Equality is an error of 0 and a ratio of 0, at a bound of 0 too."""
    (row,) = rows_of(THREE, THREE, BOUND)
    assert (row.error, row.ratio, row.n) == (0.0, 0.0, 3)


def test_the_ledger_has_the_element_nearest_to_its_bound() -> None:
    """The row is that of the worst ratio, not of the largest error."""
    (row,) = rows_of(THREE + np.array([5e-14, 6e-14, 0]), THREE, BOUND)
    assert row.ratio == pytest.approx(0.5, rel=0.01)
    assert row.error == pytest.approx(5e-14, rel=0.01)


@pytest.mark.parametrize("wrong", [2e-13, -2e-13, math.nan, math.inf])
def test_an_element_beyond_its_bound_fails(wrong: float) -> None:
    """One element too far off, or not a number, fails the array."""
    with pytest.raises(Mismatch):
        rows_of(THREE + np.array([wrong, 0, 0]), THREE, BOUND)


def test_an_expected_zero_must_be_exactly_zero() -> None:
    """There is no absolute tolerance: the smallest number is not zero."""
    with pytest.raises(Mismatch):
        rows_of(THREE + np.array([0, 0, 5e-324]), THREE, BOUND)


def test_a_failed_comparison_stands_in_the_ledger() -> None:
    """The row is written before the verdict."""
    rows: list[Row] = []
    comparer = Comparer(rows.append)
    with pytest.raises(Mismatch):
        comparer.close(CELL, "value", "A", Measured(THREE + 1, "float64"), THREE, BOUND, "float64")
    assert comparer.count == 1
    assert rows[0].ratio == math.inf


def test_nan_is_compared_as_nan() -> None:
    """NaN equals NaN, and neither a number nor an infinity."""
    expected = np.array([math.nan, 1.0])
    rows_of(np.array([math.nan, 1.0]), expected, np.zeros(2))
    for wrong in (0.0, math.inf, 1.0):
        with pytest.raises(Mismatch):
            rows_of(np.array([wrong, 1.0]), expected, np.full(2, np.inf))


def test_an_infinity_has_a_sign() -> None:
    """inf equals inf, not -inf, NaN or the largest number."""
    expected = np.array([math.inf])
    rows_of(np.array([math.inf]), expected, np.zeros(1))
    for wrong in (-math.inf, math.nan, 1.7e308):
        with pytest.raises(Mismatch):
            rows_of(np.array([wrong]), expected, np.full(1, np.inf))


@pytest.mark.parametrize("shape", [(), (1, 3), (3, 1), (2,), (0,)])
def test_another_shape_fails_even_where_it_would_broadcast(shape: tuple[int, ...]) -> None:
    """Shapes are equal or the comparison fails."""
    with pytest.raises(Mismatch, match="shape must be"):
        rows_of(np.ones(shape), np.ones(3), np.ones(3))


def test_another_dtype_fails_although_the_numbers_agree() -> None:
    """A float32 result where float64 is due is a failure."""
    with pytest.raises(Mismatch, match="dtype must be float64"):
        rows_of(THREE, THREE, BOUND, dtype="float32")


def test_nothing_to_compare_fails_unless_declared() -> None:
    """An empty array passes only as one that was declared empty, and a full one does not pass as empty."""
    nothing = np.zeros((0, 3))
    with pytest.raises(Mismatch, match="0 elements"):
        rows_of(nothing, nothing, nothing)
    assert len(rows_of(nothing, nothing, nothing, empty=True)) == 1
    with pytest.raises(Mismatch, match="3 elements"):
        rows_of(THREE, THREE, BOUND, empty=True)


def test_a_number_beyond_the_range_must_not_come_out_finite() -> None:
    """1e39 is not a float32: an infinity or NaN is right, the largest float32 is not."""
    beyond = np.array([1e39])
    for got in (math.inf, math.nan):
        rows_of(np.array([got]), beyond, np.zeros(1), dtype="float32", due="float32")
    with pytest.raises(Mismatch):
        rows_of(np.array([3.4e38]), beyond, np.array([1e33]), dtype="float32", due="float32")


def test_at_the_edge_of_a_type_both_sides_are_right_where_the_bound_reaches_over_it() -> None:
    """65520 is the first number that rounds to an infinity in float16."""
    for due, got in ((-65519.9, -math.inf), (-65519.9, -65504.0), (65520.1, 65504.0), (65520.1, math.inf)):
        rows_of(np.array([got]), np.array([due]), np.full(1, 0.2), dtype="float16", due="float16", rounding=16.0)
    for due, got in ((-65519.9, math.inf), (-65519.9, math.nan), (65510.0, math.inf), (65530.0, 65504.0)):
        with pytest.raises(Mismatch):
            rows_of(np.array([got]), np.array([due]), np.full(1, 0.2), dtype="float16", due="float16", rounding=16.0)


def test_an_overflow_that_is_declared_may_be_not_finite_but_not_wrong() -> None:
    """Where a power inside the formula overflows, right and not finite pass, a wrong number fails."""
    for got in (1.0, math.inf, math.nan):
        rows_of(np.array([got]), np.ones(1), np.zeros(1), may_overflow=True)
    with pytest.raises(Mismatch):
        rows_of(np.zeros(1), np.ones(1), np.full(1, 1e-13), may_overflow=True)
    with pytest.raises(Mismatch):
        rows_of(np.array([math.inf]), np.ones(1), np.zeros(1))


def test_rounding_to_a_narrow_type_is_no_error_and_no_more_than_that() -> None:
    """Half a unit in the last place is subtracted from the error, and nothing else."""
    (row,) = rows_of(np.array([1.5]), np.ones(1), np.full(1, 0.25), rounding=0.5)
    assert row.error == 0.0
    with pytest.raises(Mismatch):
        rows_of(np.array([1.8]), np.ones(1), np.full(1, 0.25), rounding=0.5)


def test_a_bound_of_another_shape_is_a_mistake_of_the_suite() -> None:
    """A bound is never broadcast over elements."""
    with pytest.raises(ValueError, match="allowed must be of shape"):
        rows_of(THREE, THREE, np.asarray(1.0))


def test_normwise_compares_norms_and_never_hides_nan() -> None:
    """‖error‖ against factor · ‖expected‖; one NaN fails."""
    comparer = Comparer(lambda row: None)
    comparer.normwise(CELL, "gradient", "A′", Measured(THREE + np.array([0, 0, 1e-12]), "float64"), THREE, 1e-12)
    for wrong in ([0, 0, 3e-12], [math.nan, 0, 0]):
        with pytest.raises(Mismatch):
            comparer.normwise(CELL, "gradient", "A′", Measured(THREE + np.array(wrong), "float64"), THREE, 1e-12)
    assert comparer.count == 2


def test_bounds_are_the_derived_ones() -> None:
    """A is 1e-13 S, B is (2 + log₂ n) u S, B′ is (3 + log₂ n) u for each element, and n is the number of elements."""
    x = np.array([1.0, -2.0, 3.0, 0.0])
    due = config("L1", strength=0.5).oracle(x, ("out",))
    u = 2.0**-24
    assert bound("L1", "value", "float64", due).allowed == pytest.approx(3e-13)
    assert bound("L1", "value", "float32", due).allowed == pytest.approx(4 * u * 3.0)
    for dtype in ("float32", "bfloat16", "float16"):
        limit = bound("L1", "gradient", dtype, due)
        np.testing.assert_allclose(limit.allowed, 5 * u * np.array([0.5, 0.5, 0.5, 0.0]))
        half = {"float32": 0.0, "bfloat16": 2.0**-9, "float16": 2.0**-12}[dtype]
        np.testing.assert_array_equal(limit.rounding, [half, half, half, 0.0])


def test_only_blocks_that_are_not_summed_pairwise_widen_a_bound() -> None:
    """√k for k steps one after the other: of long arrays, in the code that inductor writes for a CPU."""
    assert walk("torch-inductor", "cpu", "float32", 2**20) == pytest.approx(1 + 64 / 20)
    assert walk("torch-inductor", "cpu", "bfloat16", 2**20) == pytest.approx(1 + 1024 / 20)
    for mode, device, n in (
        ("torch-inductor", "cpu", 4096),
        ("torch-inductor", "cuda", 2**20),
        ("jax-jit", "cpu", 2**20),
    ):
        assert walk(mode, device, "float32", n) == 1.0
