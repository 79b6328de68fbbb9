"""Penalties of a matrix: worked out by hand, ties and repeated values, sides, errors, transforms, models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_tests.backends import FAST, PACKAGES, Problem, Result, package, value_and_grad
from parity_tests.configs import Config, config
from parity_tests.models.agreement import WORLDS, assert_agrees, outcome
from parity_tests.models.networks import CNN, MLP
from parity_tests.models.regularizers import CONVOLUTIONS
from parity_tests.models.terms import TermSpec, spec
from parity_tests.oracles import Axes
from parity_tests.precision import Array, round_to, unit

EVERY_MODE = pytest.mark.parametrize("mode", FAST)
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
MATRIX = ("out", "in")
WITH_SIDES = ("Orthogonal", "CosineOrthogonal", "MutualCoherence", "SpectralIsometry")
FACTORISED = ("SpectralNorm", "Nuclear", "SpectralIsometry")
WITHOUT_MASKS = ("CosineOrthogonal", "MutualCoherence", *FACTORISED)


def run(mode: str, penalty: Config, x: Any, axes: Axes = MATRIX, where: Any = None, dtype: str = "float64") -> Result:
    """Value and gradient."""
    return value_and_grad(mode, penalty.build, Problem(np.array(x, dtype=float), dtype, axes, where))


COSINES, NEAREST = config("CosineOrthogonal", strength=1.0), config("MutualCoherence", strength=1.0, side="out")
HALF, PLAIN = config("SpectralNorm", strength=1.0), config("SpectralNorm", strength=1.0, power=1)
NUCLEAR, LIMIT = config("Nuclear", strength=2.0), config("MaxNorm", strength=2.0, limit=3.0)
ISOMETRY, WIDER = (config("SpectralIsometry", strength=1.0, side=side) for side in ("out", "in"))
R = math.sqrt(0.5)
Q = R / 2  # (e₂ − cos·u)/‖w‖ at 45°, for the first coordinate of the shorter row

BY_HAND: list[tuple[Config, Any, float, Any]] = [
    (COSINES, [[2, 0], [1, 1]], R, [[0, Q], [Q, -Q]]),
    (COSINES, [[2, 0], [1, 1], [0, 0]], R / 3, [[0, Q / 3], [Q / 3, -Q / 3], [0, 0]]),
    (COSINES, [[3, 0], [0, -2]], 0, [[0, 0], [0, 0]]),
    (COSINES, [[1, 2, 3]], 0, [[0, 0, 0]]),
    (COSINES, [[1], [-2], [3]], 1, [[0], [0], [0]]),
    (NEAREST, [[2, 0], [1, 1]], R, [[0, Q], [Q, -Q]]),
    (NEAREST, [[2, 0], [1, 1], [0, 3]], R, [[0, Q / 2], [0, 0], [R / 6, 0]]),  # two pairs tie, and share a row
    (NEAREST, [[2, 0], [-1, -1], [0, 0]], R, [[0, Q], [-Q, Q], [0, 0]]),
    (config("MutualCoherence", strength=1.0), [[2, 0], [1, 1]], R, [[0, Q], [Q, -Q]]),  # the rows of a square
    (NEAREST, [[0, 1], [5, 0]], 0, [[0, 0], [0, 0]]),
    (NEAREST, [[1, 2, 3]], 0, [[0, 0, 0]]),
    (LIMIT, [[3, 4], [0, 3], [1, 0], [0, 0]], 8, [[4.8, 6.4], [0, 0], [0, 0], [0, 0]]),
    (HALF, [[3, 0], [0, -2]], 4.5, [[3, 0], [0, 0]]),
    (HALF, [[0, -2, 0], [2, 0, 0]], 2, [[0, -1, 0], [1, 0, 0]]),
    (HALF, [[1, 1], [1, 1]], 2, [[1, 1], [1, 1]]),
    (PLAIN, [[0, -2, 0], [2, 0, 0]], 2, [[0, -0.5, 0], [0.5, 0, 0]]),
    (PLAIN, [[0, 0], [0, 0]], 0, [[0, 0], [0, 0]]),
    (PLAIN, [[3, 4]], 5, [[0.6, 0.8]]),
    (NUCLEAR, [[3, 0], [0, -2]], 10, [[2, 0], [0, -2]]),
    (NUCLEAR, [[1, 1], [1, 1]], 4, [[1, 1], [1, 1]]),
    (NUCLEAR, [[0, 0], [0, 0]], 0, [[0, 0], [0, 0]]),
    (NUCLEAR, [[0], [-3]], 6, [[0], [-2]]),
    (ISOMETRY, [[2, 0], [0, 1]], 3, [[4, 0], [0, 0]]),
    (ISOMETRY, [[0, 2, 0], [-2, 0, 0]], 3, [[0, 2, 0], [-2, 0, 0]]),  # repeated: the mean of both
    (WIDER, [[0, 2, 0], [-2, 0, 0]], 3, [[0, 2, 0], [-2, 0, 0]]),
    (WIDER, [[0.5, 0]], 1, [[0, 0]]),  # the eigenvalue 0 that a wide matrix has
    (ISOMETRY, [[1, 1], [0, 0]], 1, [[1, 1], [0, 0]]),  # eigenvalues 2 and 0 tie, on either side of 1
    (ISOMETRY, [[1], [1], [0]], 1, [[2 / 3], [2 / 3], [0]]),  # 2 ties with 0, which the Gram matrix has twice
    (ISOMETRY, [[0.5, 0], [0, 1]], 0.75, [[-1, 0], [0, 0]]),
    (ISOMETRY, [[0, 1, 0], [-1, 0, 0]], 0, [[0, 0, 0], [0, 0, 0]]),
    (ISOMETRY, [[0, 0], [0, 0]], 1, [[0, 0], [0, 0]]),
]


@EVERY_MODE
@pytest.mark.parametrize(("penalty", "x", "value", "gradient"), BY_HAND, ids=str)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: Any, value: float, gradient: Any, mode: str
) -> None:
    """The formula on numbers small enough for paper, as the oracle and as the packages have it."""
    due, got = penalty.oracle(np.array(x, dtype=float), MATRIX), run(mode, penalty, x)
    for measured, slope in ((due.value, due.gradient), (float(got.value.array), got.gradient.array)):
        assert measured == pytest.approx(value, rel=4e-15, abs=4e-15)
        np.testing.assert_allclose(slope, gradient, rtol=4e-15, atol=4e-15)


# One object each: what is compiled is kept by the identity of the configuration.
SIDED = {name: {s: config(name, strength=0.3, side=s) for s in ("out", "in", "min", "both")} for name in WITH_SIDES}


def arrays(shape: tuple[int, int]) -> st.SearchStrategy[Array]:
    """Normal matrices of one shape."""
    return st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).standard_normal(shape))


@EVERY_MODE
@pytest.mark.parametrize("name", WITH_SIDES)
@settings(max_examples=20)  # in each tier: one by one, as this is no law of one penalty
@given(x=arrays((4, 3)))
def test_both_sides_are_the_sum_of_the_sides_and_min_is_the_smaller(name: str, mode: str, x: Array) -> None:
    """Sides mean the same in every penalty that has them: columns are the rows of the transpose, value and gradient."""
    results = {side: run(mode, penalty, x) for side, penalty in SIDED[name].items()}
    value = {side: float(result.value.array) for side, result in results.items()}
    slope = {side: result.gradient.array for side, result in results.items()}
    size = 1e-12 * np.abs(slope["both"]).max()
    assert value["both"] == pytest.approx(value["out"] + value["in"], rel=1e-14)
    np.testing.assert_allclose(slope["both"], slope["out"] + slope["in"], rtol=0, atol=size)
    assert value["min"] == value["in"]
    np.testing.assert_array_equal(slope["min"], slope["in"])
    turned = run(mode, SIDED[name]["out"], x.T)
    assert float(turned.value.array) == pytest.approx(value["in"], rel=1e-12)
    np.testing.assert_allclose(turned.gradient.array.T, slope["in"], rtol=0, atol=size)


@EVERY_MODE
@pytest.mark.parametrize("name", WITH_SIDES[1:3])
def test_the_smaller_side_of_a_square_is_out(name: str, mode: str) -> None:
    """Cosines of rows and of columns differ, so where neither side is the smaller it must be said which is meant."""
    x = np.random.default_rng(5).standard_normal((3, 3))
    value = {side: float(run(mode, penalty, x).value.array) for side, penalty in SIDED[name].items()}
    assert value["min"] == value["out"] != value["in"]


@EVERY_MODE
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", WITHOUT_MASKS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (3, 4)])
def test_what_is_not_finite_is_not_hidden(name: str, shape: tuple[int, int], bad: float, mode: str) -> None:
    """A NaN or an infinity makes the value NaN, whatever the shape, also where there is no pair to compare."""
    x = np.ones(shape)
    x[-1, 0] = bad
    result = run(mode, config(name, strength=1.0), x)
    assert np.isnan(result.value.array)
    assert np.isnan(result.gradient.array).any() or 1 in shape


@EVERY_MODE
def test_a_limit_honours_masks_and_biases(mode: str) -> None:
    """A masked row has no norm, a masked element is not in it, and a row of a bias is its one element."""
    x, where = np.array([[3.0, 4.0], [math.nan, 9.0]]), np.array([True, False])
    result = run(mode, LIMIT, x, where=where)
    assert float(result.value.array) == pytest.approx(8, rel=1e-15)
    np.testing.assert_allclose(result.gradient.array, [[4.8, 6.4], [0, 0]], rtol=1e-15)
    bias = run(mode, LIMIT, [-5.0, 3.0, 1.0], axes=("out",))
    np.testing.assert_array_equal(bias.gradient.array, [-8.0, 0.0, 0.0])
    assert np.isnan(run(mode, LIMIT, x).value.array)


@EVERY_MODE
@pytest.mark.parametrize("penalty", [config("MaxNorm", strength=1.0, limit=0.0), HALF], ids=str)
def test_the_slope_of_a_square_that_is_no_number_is_right(penalty: Config, mode: str) -> None:
    """Elements of 1e-28: their square is beneath float32, and the slope of that square is not."""
    x = np.array([[1e-28, 1e-28]])
    slope = run(mode, penalty, x, dtype="float32").gradient.array
    np.testing.assert_allclose(slope, x * (2 if penalty.name == "MaxNorm" else 1), rtol=1e-5)


@EVERY_MODE
@pytest.mark.parametrize("side", ["out", "in"])
def test_a_product_of_long_rows_is_no_running_sum(side: str, mode: str) -> None:
    """Of squares of few digits a long one rounds more down than up; a walk of 8,192 steps is what is allowed here."""
    rows = round_to(np.random.default_rng(0).standard_normal((2, 100_003)), "bfloat16")
    x = rows if side == "out" else rows.T
    got = run(mode, config("Orthogonal", strength=1.0, side=side), x, dtype="float32")
    defect, size = rows @ rows.T - np.eye(2), np.abs(rows) @ np.abs(rows).T + np.eye(2)
    allowed = (3 + math.sqrt(8192) + 2 + math.log2(13)) * unit("float32") * np.sum(2 * np.abs(defect) * size)
    assert abs(float(got.value.array) - np.sum(defect**2)) <= allowed


@EVERY_FRAMEWORK
@pytest.mark.parametrize("name", WITH_SIDES)
def test_sides_are_four_words(framework: str, name: str) -> None:
    """ValueError for another word, TypeError for what is no word."""
    for bad, kind in (("left", ValueError), (0, TypeError), (None, TypeError)):
        with pytest.raises(kind) as caught:
            getattr(package(framework), name)(0.1, side=bad)
        assert str(caught.value) == f"{name}: side must be one of 'out', 'in', 'min', 'both'; got {bad!r}."


@EVERY_FRAMEWORK
def test_power_and_limit_are_checked(framework: str) -> None:
    """The power is the integer 1 or 2, the limit a finite number."""
    m = package(framework)
    for bad, kind in ((0, ValueError), (3, ValueError), (2.0, TypeError), (True, TypeError), ("2", TypeError)):
        with pytest.raises(kind) as caught:
            m.SpectralNorm(0.1, power=bad)
        assert str(caught.value) == f"SpectralNorm: power must be 1 or 2; got {bad!r}."
    for bad, kind in ((-1.0, ValueError), (math.inf, ValueError), (math.nan, ValueError), (None, TypeError)):
        with pytest.raises(kind) as caught:
            m.MaxNorm(0.1, limit=bad)
        assert str(caught.value) == f"MaxNorm: limit must be a finite number >= 0; got {bad!r}."


KERNELS, BIASES = (*CONVOLUTIONS, "head.kernel"), ("conv1.bias", "conv2.bias", "head.bias")
TERMS: tuple[TermSpec, ...] = (
    *(
        spec(f"{name} {side}", config(name, strength=0.02, side=side), "params", "**", *KERNELS, role="kernel")
        for name in WITH_SIDES[1:]
        for side in ("out", "in")
    ),
    spec("stretch", config("SpectralNorm", strength=0.02), "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("rank", config("Nuclear", strength=0.02), "params", "**", *KERNELS, role="kernel"),
    spec("ball", config("MaxNorm", strength=0.02, limit=0.1), "params", "**", *KERNELS, role="kernel"),
    spec(
        "biases", config("MaxNorm", strength=0.02, limit=0.01), "params", "**", *BIASES, role="bias", exclude="norm?.*"
    ),
)


@pytest.mark.parametrize("world", WORLDS)
def test_a_model_gives_the_same_numbers_in_every_world(world: str) -> None:
    """Rows are the outputs of a kernel, however a framework stores it."""
    assert_agrees(world, CNN, TERMS)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", ["MaxNorm", *WITHOUT_MASKS])
def test_an_activation_has_no_rows_of_outputs(name: str, world: str) -> None:
    """On an activation they mean nothing: the same whole sentence in every world, whatever ``per`` says."""
    penalty = config(name, **{"strength": 0.1} | ({"limit": 1.0} if name == "MaxNorm" else {}))
    for options in ({}, {"per": "example"}):
        with pytest.raises(ValueError, match="must be") as caught:
            outcome(world, MLP, (spec("wrong", penalty, "activations", "first", "first", **options),))
        assert str(caught.value) == (
            f"{name}: axes must be among the axes that the array has, and 'out' is not; got ('sample', 'feature')."
        )


@EVERY_FRAMEWORK
@pytest.mark.parametrize("name", WITHOUT_MASKS)
def test_masks_mean_nothing_to_a_gram_matrix(framework: str, name: str) -> None:
    """A penalty that cannot honour a mask says so."""
    with pytest.raises(ValueError, match="must be") as caught:
        run(f"{framework}-eager", config(name, strength=0.1), np.ones((2, 3)), where=np.array([True, False]))
    assert (
        str(caught.value)
        == f"{name}: where must be None, because this penalty has no meaning under a mask; got 'a mask'."
    )
