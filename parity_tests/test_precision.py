"""The rounding that the oracles rest on is itself exact."""

from __future__ import annotations

import numpy as np
import pytest

from parity_tests.backends import require
from parity_tests.precision import DTYPES, round_to, to_bfloat16


def every_bfloat16() -> np.ndarray:
    """All 65,536 bit patterns, as float64."""
    with np.errstate(invalid="ignore"):
        return (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)


def test_bfloat16_numbers_round_to_themselves() -> None:
    """Each of the 65,536 bfloat16 values, infinities and NaN among them, is a fixed point."""
    values = every_bfloat16()
    np.testing.assert_array_equal(to_bfloat16(values), values)


def test_bfloat16_halfway_cases_go_to_the_even_neighbour() -> None:
    """A number halfway between two neighbours goes to the one whose last bit is 0, and only then."""
    low = every_bfloat16()[0x3F80:0x4080]
    high = every_bfloat16()[0x3F81:0x4081]
    even = np.where(np.arange(low.size) % 2 == 0, low, high)
    half = (low + high) / 2
    step = high - low
    np.testing.assert_array_equal(to_bfloat16(half), even)
    np.testing.assert_array_equal(to_bfloat16(half - step / 1024), low)
    np.testing.assert_array_equal(to_bfloat16(half + step / 1024), high)


def test_bfloat16_agrees_with_ml_dtypes() -> None:
    """JAX's own rounding gives the same 100,000 numbers."""
    require("jax")
    import ml_dtypes

    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32) * np.float32(1e3)
    np.testing.assert_array_equal(to_bfloat16(values), values.astype(ml_dtypes.bfloat16).astype(np.float64))


def test_bfloat16_agrees_with_torch() -> None:
    """PyTorch's own rounding gives the same 100,000 numbers."""
    require("torch")
    import torch

    values = np.random.default_rng(1).standard_normal(100_000).astype(np.float32) * np.float32(1e3)
    expected = torch.from_numpy(values).to(torch.bfloat16).double().numpy()
    np.testing.assert_array_equal(to_bfloat16(values), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_unit_roundoff_and_range_are_those_of_the_type(dtype: str) -> None:
    """1 + u is a tie that goes to 1, 1 + 3u goes up, and the largest number is the last finite one."""
    precision = DTYPES[dtype]
    u = precision.unit
    if dtype != "float64":
        tie, above = np.float64(1 + u), np.float64(1 + 3 * u)
        assert round_to(tie, dtype) == 1.0
        assert round_to(above, dtype) == 1 + 4 * u
        assert np.isinf(round_to(np.float64(precision.largest * (1 + u)), dtype))
    assert round_to(np.float64(precision.largest), dtype) == precision.largest
    assert round_to(np.float64(precision.smallest_normal), dtype) == precision.smallest_normal


def test_float64_constants_are_numpys() -> None:
    """The table's float64 row says what NumPy says."""
    information = np.finfo(np.float64)
    assert DTYPES["float64"].unit == information.eps / 2
    assert DTYPES["float64"].largest == information.max
    assert DTYPES["float64"].smallest_normal == information.tiny
