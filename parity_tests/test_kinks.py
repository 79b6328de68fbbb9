"""Where penalties usually break: at zero, at zero groups and ties, at NaN and Inf, and on nothing at all.

The matrix meets these points in every dtype within bounds; here they are exact, in float64, one by one.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from parity_tests.backends import FAST, PLAIN, Problem, Result, value_and_grad
from parity_tests.cases import tiered, typical
from parity_tests.configs import Config, config
from parity_tests.families import CONFIGS, entry_of, family_of, targets
from parity_tests.oracles import Axes
from parity_tests.precision import Array
from parity_tests.targets import Target, kinds

EVERY_MODE = pytest.mark.parametrize("mode", PLAIN)
FAST_MODE = pytest.mark.parametrize("mode", FAST)
PAIRS = [tiered(c, t) for c in CONFIGS for t in typical(c) if not t.masked]
MASKED = [tiered(c, kinds(targets(c))[2][0]) for c in CONFIGS if kinds(targets(c))[2]]
EVERY_PAIR = pytest.mark.parametrize(("penalty", "target"), PAIRS, ids=lambda item: getattr(item, "name", str(item)))
EVERY_MASKED = pytest.mark.parametrize(("penalty", "target"), MASKED, ids=lambda item: getattr(item, "name", str(item)))
ELEMENTWISE = [c for c in CONFIGS if family_of(c.name) in ("elementwise", "nonconvex")]
MATRIX = ("out", "in")


def run(mode: str, penalty: Config, x: Array, axes: Axes, where: np.ndarray | None = None) -> Result:
    """Value and gradient in float64."""
    return value_and_grad(mode, penalty.build, Problem(np.asarray(x, dtype=np.float64), "float64", axes, where))


def plain(target: Target) -> Array:
    """Numbers away from every kink, and no two alike."""
    return np.random.default_rng(11).permutation(np.arange(1.0, 1.0 + math.prod(target.shape))).reshape(target.shape)


@FAST_MODE
@EVERY_PAIR
def test_at_zero_the_gradient_is_exactly_zero(penalty: Config, target: Target, mode: str) -> None:
    """The minimum-norm subgradient of the zero array is 0 in every element, and the value is the oracle's."""
    due = penalty.oracle(np.zeros(target.shape), target.axes)
    result = run(mode, penalty, np.zeros(target.shape), target.axes)
    assert result.value.array == pytest.approx(due.value, rel=1e-13, abs=0)
    if entry_of(penalty).laws.at_zero:
        np.testing.assert_array_equal(result.gradient.array, np.zeros(target.shape))
    else:
        np.testing.assert_allclose(result.gradient.array, due.gradient, rtol=1e-13)


@EVERY_MODE
@pytest.mark.parametrize("penalty", ELEMENTWISE, ids=str)
def test_negative_zero_is_zero(penalty: Config, mode: str) -> None:
    """-0.0 has the gradient of 0.0."""
    result = run(mode, penalty, np.array([-0.0, 1.0, 0.0]), ("out",))
    assert result.gradient.array[0] == 0.0
    assert result.gradient.array[2] == 0.0


@EVERY_MODE
@pytest.mark.parametrize("axis", [0, 1])
def test_a_zero_group_among_others_has_gradient_zero(axis: int, mode: str) -> None:
    """The zero group has gradient exactly 0, its neighbours the gradient that they have without it."""
    penalty = config("GroupLasso", strength=0.4, groups=MATRIX[axis], size_weighted=False)
    x = np.array([[3.0, 4.0], [1.0, 2.0]])
    wider = np.insert(x, 1, 0.0, axis=axis)
    with_zero, without = run(mode, penalty, wider, MATRIX), run(mode, penalty, x, MATRIX)
    assert not np.take(with_zero.gradient.array, 1, axis).any()
    np.testing.assert_array_equal(np.delete(with_zero.gradient.array, 1, axis), without.gradient.array)
    assert with_zero.value.array == without.value.array


@EVERY_MODE
def test_a_zero_sample_counts_and_has_gradient_zero(mode: str) -> None:
    """A sample of zeros has the ratio 0 and counts in the mean; a masked one does not count."""
    penalty, axes = config("HoyerSquare", strength=1.0), ("sample", "feature")
    x = np.array([[1.0, 3.0], [0.0, 0.0], [2.0, 2.0]])
    result = run(mode, penalty, x, axes)
    assert result.value.array == pytest.approx((1.6 + 0 + 2) / 3, rel=1e-15)
    assert not result.gradient.array[1].any()
    masked = run(mode, penalty, x, axes, np.array([True, False, True]))
    assert masked.value.array == pytest.approx((1.6 + 2) / 2, rel=1e-15)


@FAST_MODE
@EVERY_PAIR
def test_nan_reaches_the_value(penalty: Config, target: Target, mode: str) -> None:
    """One NaN anywhere makes the value NaN."""
    x = plain(target)
    x.flat[-1] = math.nan
    assert np.isnan(run(mode, penalty, x, target.axes).value.array)


@FAST_MODE
@EVERY_PAIR
def test_infinity_never_comes_out_as_a_number(penalty: Config, target: Target, mode: str) -> None:
    """One infinity makes the value infinite, or NaN where infinities meet in the formula."""
    x = plain(target)
    x.flat[-1] = -math.inf
    laws, value = entry_of(penalty).laws, run(mode, penalty, x, target.axes).value.array
    if laws.bounded:  # an infinite element costs the bound, or is NaN where infinities meet
        due = penalty.oracle(np.where(np.isinf(x), -1e300, x), target.axes).value
        assert np.isnan(value) or value == pytest.approx(due, rel=1e-12)
    else:
        assert not np.isfinite(value)
    if laws.infinite:
        assert value == math.inf


@EVERY_MODE
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("penalty", ELEMENTWISE, ids=str)
def test_finite_siblings_keep_their_gradients(penalty: Config, bad: float, mode: str) -> None:
    """Where the formula is elementwise, the gradient beside a NaN or an infinity is what it is without."""
    x = np.array([1.0, -2.0, 0.0, 3.0])
    spoilt = np.array([1.0, bad, 0.0, 3.0])
    clean, result = run(mode, penalty, x, ("out",)), run(mode, penalty, spoilt, ("out",))
    others = [0, 2, 3]
    np.testing.assert_array_equal(result.gradient.array[others], clean.gradient.array[others])


@EVERY_MODE
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_other_groups_keep_their_gradients(bad: float, mode: str) -> None:
    """A NaN or an infinity in one group leaves the gradients of the other groups alone."""
    penalty = config("GroupLasso", strength=0.4)
    x = np.array([[3.0, 4.0], [1.0, 2.0], [0.0, 0.0]])
    spoilt = x.copy()
    spoilt[0, 0] = bad
    clean, result = run(mode, penalty, x, MATRIX), run(mode, penalty, spoilt, MATRIX)
    np.testing.assert_array_equal(result.gradient.array[1:], clean.gradient.array[1:])


@FAST_MODE
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@EVERY_MASKED
def test_what_a_mask_leaves_out_does_not_matter(penalty: Config, target: Target, bad: float, mode: str) -> None:
    """A NaN or an infinity under the mask changes neither value nor gradient, and its own gradient is exactly 0."""
    where = np.ones(target.shape[:1], dtype=bool)
    where[1] = False
    x = plain(target)
    spoilt = x.copy()
    spoilt[1].flat[0] = bad
    clean, result = run(mode, penalty, x, target.axes, where), run(mode, penalty, spoilt, target.axes, where)
    assert result.value.array == clean.value.array
    np.testing.assert_array_equal(result.gradient.array, clean.gradient.array)
    assert not result.gradient.array[1].any()


@FAST_MODE
@EVERY_MASKED
def test_a_mask_that_leaves_out_everything_costs_nothing(penalty: Config, target: Target, mode: str) -> None:
    """The value is 0 and so is every gradient: no denominator is 0."""
    result = run(mode, penalty, plain(target), target.axes, np.zeros(target.shape[: target.masked], dtype=bool))
    assert result.value.array == 0.0
    np.testing.assert_array_equal(result.gradient.array, np.zeros(target.shape))


@FAST_MODE
@EVERY_PAIR
def test_empty_arrays_cost_nothing(penalty: Config, target: Target, mode: str) -> None:
    """An array with an axis of size 0 has the value 0.0 and an empty gradient, whichever axis it is."""
    for axis in range(len(target.shape)):
        shape = (*target.shape[:axis], 0, *target.shape[axis + 1 :])
        result = run(mode, penalty, np.zeros(shape), target.axes)
        assert result.value.array == 0.0
        assert result.gradient.array.shape == shape


@EVERY_MODE
@pytest.mark.parametrize("side", ["out", "in", "min", "both"])
def test_a_permutation_is_orthogonal(side: str, mode: str) -> None:
    """A signed permutation costs exactly 0 and is stationary; the zero matrix costs the size of its Gram matrix."""
    permutation = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    penalty = config("Orthogonal", strength=0.2, side=side)
    result = run(mode, penalty, permutation, MATRIX)
    assert result.value.array == 0.0
    np.testing.assert_array_equal(result.gradient.array, np.zeros((3, 3)))
    nothing = run(mode, penalty, np.zeros((2, 3)), MATRIX)
    assert nothing.value.array == pytest.approx(0.2 * {"out": 2, "in": 3, "min": 2, "both": 5}[side], rel=1e-15)


@EVERY_MODE
@pytest.mark.parametrize("penalty", [config("L2Norm", strength=0.9), config("GroupLasso", strength=0.4)], ids=str)
def test_a_norm_whose_square_overflows_is_still_right(penalty: Config, mode: str) -> None:
    """1e25 is a float32 and so is its norm, although its square is not."""
    x = np.array([3e25, -4e25])
    axes = ("in",) if penalty.name == "L2Norm" else ("out",)
    result = value_and_grad(mode, penalty.build, Problem(x.astype(np.float32).astype(np.float64), "float32", axes))
    due = penalty.oracle(x, axes)
    assert result.value.array == pytest.approx(due.value, rel=1e-6)
    np.testing.assert_allclose(result.gradient.array, due.gradient, rtol=1e-6)
