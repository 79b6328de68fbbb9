"""Laws that hold for every array, tried on many: scaling, permutation, sign, the triangle, masks, samples.

Each law compares results of one mode with each other, so it needs no oracle and finds what an oracle might share.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_tests.backends import Problem, value_and_grad
from parity_tests.configs import CONFIGS, Config, config
from parity_tests.oracles import Axes
from parity_tests.precision import Array

MODES = pytest.mark.parametrize("mode", ["torch-eager", "jax-jit"])  # one of each framework: the fast one
MATRIX, BATCH = ("out", "in"), ("sample", "feature")
ROWS, COLUMNS = 4, 3

L1, L2, NORM = config("L1", strength=0.3), config("L2", strength=0.7), config("L2Norm", strength=0.9)
NET = config("ElasticNet", l1=0.3, l2=0.05)
LASSO, LASSO_IN = config("GroupLasso", strength=0.4), config("GroupLasso", strength=0.4, groups="in")
BY_SAMPLE, BY_FEATURE = (config("GroupLasso", strength=0.4, groups=name) for name in BATCH)
HOYER, HOYER_BATCH = config("HoyerSquare", strength=0.6), config("HoyerSquare", strength=0.6, over="batch")
ORTHOGONAL = [penalty for penalty in CONFIGS if penalty.name == "Orthogonal"]


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """A matrix of one fixed shape (so nothing is compiled twice): normal, with zeros, ties or a wide range."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((ROWS, COLUMNS))
    kind = draw(st.sampled_from(["normal", "zeros", "ties", "wide"]))
    if kind == "zeros":
        return x * rng.integers(0, 2, x.shape) * rng.integers(0, 2, (ROWS, 1))
    if kind == "ties":
        return np.sign(x) * rng.integers(0, 3, x.shape).astype(np.float64)
    if kind == "wide":
        return x * 10.0 ** rng.uniform(-6, 6, x.shape)
    return x


signs = st.lists(st.sampled_from([-1.0, 1.0]), min_size=COLUMNS, max_size=COLUMNS).map(np.array)
rows = st.permutations(range(ROWS))
columns = st.permutations(range(COLUMNS))
factors = st.floats(0.001, 1000.0) | st.floats(-1000.0, -0.001)
masks = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array)


def both(mode: str, penalty: Config, x: Array, axes: Axes, where: np.ndarray | None = None) -> tuple[float, Array]:
    """The penalty of ``x`` and its gradient, in float64."""
    result = value_and_grad(mode, penalty.build, Problem(x, "float64", axes, where))
    return float(result.value.array), result.gradient.array


def value(mode: str, penalty: Config, x: Array, axes: Axes, where: np.ndarray | None = None) -> float:
    """The penalty of ``x`` in float64."""
    return both(mode, penalty, x, axes, where)[0]


def close(got: float | Array, due: float | Array) -> None:
    """Equal within what a few float64 roundings of numbers of this size can do."""
    size = float(np.max(np.abs(due), initial=0.0))
    np.testing.assert_allclose(got, due, rtol=1e-12, atol=1e-13 * size)


@MODES
@pytest.mark.parametrize(
    ("penalty", "degree"),
    [(L1, 1), (NORM, 1), (LASSO, 1), (LASSO_IN, 1), (BY_SAMPLE, 1), (L2, 2), (HOYER, 0), (HOYER_BATCH, 0)],
    ids=str,
)
@given(x=arrays(), factor=factors)
def test_homogeneity(mode: str, penalty: Config, degree: int, x: Array, factor: float) -> None:
    """f(c x) is |c|^d f(x): d is 1 for norms, 2 for squares, 0 for ratios."""
    axes = BATCH if penalty in (BY_SAMPLE, HOYER, HOYER_BATCH) else MATRIX
    close(value(mode, penalty, factor * x, axes), abs(factor) ** degree * value(mode, penalty, x, axes))


@MODES
@pytest.mark.parametrize("penalty", [NET, NORM, LASSO, LASSO_IN, *ORTHOGONAL], ids=str)
@given(x=arrays(), rows=rows, columns=columns)
def test_permutation_of_rows_and_columns(
    mode: str, penalty: Config, x: Array, rows: list[int], columns: list[int]
) -> None:
    """No penalty of a matrix knows the order of its rows or columns; the gradient is permuted with them."""
    moved, slope_moved = both(mode, penalty, x[rows][:, columns], MATRIX)
    due, slope = both(mode, penalty, x, MATRIX)
    close(moved, due)
    close(slope_moved, slope[rows][:, columns])


@MODES
@pytest.mark.parametrize("penalty", [NET, NORM, LASSO, LASSO_IN, *ORTHOGONAL], ids=str)
@given(x=arrays(), signs=signs)
def test_sign_of_columns(mode: str, penalty: Config, x: Array, signs: Array) -> None:
    """Flipping the sign of a column changes no penalty, and flips its gradient."""
    flipped, slope_flipped = both(mode, penalty, x * signs, MATRIX)
    due, slope = both(mode, penalty, x, MATRIX)
    close(flipped, due)
    close(slope_flipped, slope * signs)


@MODES
@pytest.mark.parametrize("penalty", [L1, NORM, LASSO, LASSO_IN], ids=str)
@given(x=arrays(), y=arrays())
def test_triangle_inequality(mode: str, penalty: Config, x: Array, y: Array) -> None:
    """A norm of a sum is at most the sum of the norms."""
    limit = value(mode, penalty, x, MATRIX) + value(mode, penalty, y, MATRIX)
    assert value(mode, penalty, x + y, MATRIX) <= limit * (1 + 1e-13)


@MODES
@pytest.mark.parametrize("penalty", [L1, NORM, LASSO, LASSO_IN], ids=str)
@given(x=arrays(), y=arrays())
def test_subgradients_support(mode: str, penalty: Config, x: Array, y: Array) -> None:
    """A convex penalty lies above its tangent at every point, at a kink too: f(y) >= f(x) + <g(x), y - x>."""
    here, slope = both(mode, penalty, x, MATRIX)
    there = value(mode, penalty, y, MATRIX)
    tangent = here + float(np.sum(slope * (y - x)))
    assert there >= tangent - 1e-12 * (here + there + abs(tangent))


@MODES
@pytest.mark.parametrize("penalty", [L1, L2, NET, NORM, BY_SAMPLE, BY_FEATURE, HOYER, HOYER_BATCH], ids=str)
@given(x=arrays(), where=masks)
def test_a_mask_slices_away(mode: str, penalty: Config, x: Array, where: np.ndarray) -> None:
    """A masked sample might as well be absent: in the value, in every count, and its gradient is exactly 0.

    The shape must stay the same for the compiled mode, so the sliced array comes from the oracle.
    """
    due = penalty.oracle(x[where], BATCH)
    got, slope = both(mode, penalty, x, BATCH, where)
    close(got, due.value)
    assert not slope[~where].any()
    cancelled = 1e-13 * np.max(due.gradient_scale, initial=0)
    np.testing.assert_allclose(slope[where], due.gradient, rtol=1e-12, atol=cancelled)


@MODES
@pytest.mark.parametrize("penalty", [L1, L2, NET, BY_SAMPLE], ids=str)
@given(x=arrays())
def test_additivity_over_samples(mode: str, penalty: Config, x: Array) -> None:
    """An additive penalty of a batch is the sum of those of its samples."""
    each = [value(mode, penalty, x, BATCH, np.arange(ROWS) == i) for i in range(ROWS)]
    close(value(mode, penalty, x, BATCH), float(np.sum(each)))


@MODES
@pytest.mark.parametrize("penalty", [LASSO, LASSO_IN, *ORTHOGONAL], ids=str)
@given(x=arrays())
def test_axes_are_names_not_places(mode: str, penalty: Config, x: Array) -> None:
    """A transposed array with its axes named in the transposed order has the same penalty."""
    turned, slope_turned = both(mode, penalty, x.T, ("in", "out"))
    due, slope = both(mode, penalty, x, MATRIX)
    close(turned, due)
    close(slope_turned.T, slope)


@MODES
@given(x=arrays())
def test_both_sides_are_the_sum_of_the_sides(mode: str, x: Array) -> None:
    """``both`` is ``out`` plus ``in``, ``min`` is the side with the smaller Gram matrix."""
    of = {penalty.given["side"]: value(mode, penalty, x, MATRIX) for penalty in ORTHOGONAL}
    close(of["both"], of["out"] + of["in"])
    assert of["min"] == of["in"]  # three columns, four rows
