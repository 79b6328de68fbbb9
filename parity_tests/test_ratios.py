"""Ratios of norms: worked out by hand, what a ratio is of, scale, options, errors, models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import FAST, PACKAGES, Problem, Result, package, value_and_grad
from parity_tests.configs import Config, config
from parity_tests.models.agreement import WORLDS, assert_agrees, outcome
from parity_tests.models.networks import CNN, MLP
from parity_tests.models.regularizers import CONVOLUTIONS
from parity_tests.models.terms import TermSpec, spec
from parity_tests.oracles import Axes

EVERY_MODE = pytest.mark.parametrize("mode", FAST)
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
VECTOR, MATRIX, BATCH, SEQUENCE = ("out",), ("out", "in"), ("sample", "feature"), ("sample", "p0", "feature")
ROOT2, ROOT26 = math.sqrt(2), math.sqrt(26)
ONE, WHOLE = config("Hoyer", strength=1.0), config("Hoyer", strength=1.0, over="batch")
ROWS = config("GroupHoyerSquare", strength=1.0)
UNITS = config("GroupHoyerSquare", strength=1.0, groups="feature")
BATCHED = config("GroupHoyerSquare", strength=1.0, groups="feature", over="batch")
VECTORS = config("GroupHoyerSquare", strength=1.0, groups=("sample", "feature"), over="batch")
NAMES = ("Hoyer", "HoyerSquare", "GroupHoyerSquare")
TWO = [[[3, 0], [4, 0]], [[1, 0], [0, 1]]]  # two samples of two positions: one unit, and two
ONCE = [[0, 0], [0, 0]]


def run(mode: str, penalty: Config, x: Any, axes: Axes, where: Any = None, dtype: str = "float64") -> Result:
    """Value and gradient."""
    return value_and_grad(mode, penalty.build, Problem(np.array(x, dtype=float), dtype, axes, where))


@EVERY_MODE
@pytest.mark.parametrize(
    ("penalty", "x", "axes", "value", "gradient"),
    [
        (ONE, [3, -4, 0], VECTOR, 1.4, [0.032, 0.024, 0]),
        (config("Hoyer", strength=2.0, eps=5.0), [3, -4, 0], VECTOR, 1.4, [0.116, -0.088, 0]),
        (ONE, [0, 0], VECTOR, 0, [0, 0]),
        (config("Hoyer", strength=2.0, eps=5.0), [0, 0], VECTOR, 0, [0, 0]),
        (ONE, [[1, 1], [0, 0]], BATCH, ROOT2 / 2, ONCE),
        (WHOLE, [[1, 1], [0, 0]], BATCH, ROOT2, ONCE),
        (ROWS, [[3, 4], [0, 10]], MATRIX, 1.8, [[0.0576, 0.0768], [0, -0.048]]),
        (ROWS, [[3, 4], [0, 0]], MATRIX, 1, ONCE),
        (config("GroupHoyerSquare", strength=1.0, eps=25.0), [[3, 4], [0, 0]], MATRIX, 0.5, [[0.06, 0.08], [0, 0]]),
        (UNITS, TWO, SEQUENCE, 1.5, np.zeros((2, 2, 2))),
        (BATCHED, TWO, SEQUENCE, (ROOT26 + 1) ** 2 / 27, None),
        (VECTORS, TWO, SEQUENCE, 49 / 27, None),
        (config("GroupHoyerSquare", strength=1.0, groups="position"), TWO, SEQUENCE, (49 / 25 + 2) / 2, None),
    ],
    ids=str,
)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: Any, axes: Axes, value: float, gradient: Any, mode: str
) -> None:
    """The formula on numbers small enough for paper, as the oracle and as the packages have it."""
    due, got = penalty.oracle(np.array(x, dtype=float), axes), run(mode, penalty, x, axes)
    for measured, slope in ((due.value, due.gradient), (float(got.value.array), got.gradient.array)):
        assert measured == pytest.approx(value, rel=1e-14, abs=0)
        if gradient is not None:
            np.testing.assert_allclose(slope, gradient, rtol=1e-13, atol=1e-15)


@EVERY_MODE
@pytest.mark.parametrize("penalty", [ONE, config("HoyerSquare", strength=1.0), UNITS], ids=str)
def test_each_sample_has_a_ratio_of_its_own(penalty: Config, mode: str) -> None:
    """Samples of any scale weigh alike; one of zeros counts as 0, one that is masked does not count."""
    x = np.array([[[3.0, 4.0]], [[0.0, 0.0]], [[1.0, 2.0]], [[7.0, 9.0]]])
    alone = [float(run(mode, penalty, x[i : i + 1], SEQUENCE).value.array) for i in range(4)]
    scaled = x * np.array([2.0**60, 1.0, 2.0**-60, 1.0]).reshape(4, 1, 1)
    assert float(run(mode, penalty, scaled, SEQUENCE).value.array) == pytest.approx(sum(alone) / 4, rel=1e-15)
    masked = run(mode, penalty, scaled, SEQUENCE, np.array([True, True, True, False]))
    assert float(masked.value.array) == pytest.approx(sum(alone[:3]) / 3, rel=1e-15)
    assert not masked.gradient.array[[1, 3]].any()


@EVERY_MODE
@pytest.mark.parametrize("penalty", [WHOLE, BATCHED], ids=str)
def test_one_ratio_of_a_batch_sees_only_what_counts(penalty: Config, mode: str) -> None:
    """A masked sample is in no norm of a ratio over the batch."""
    x = np.array([[[3.0, 4.0]], [[1.0, 2.0]], [[7.0, 9.0]]])
    masked = run(mode, penalty, x, SEQUENCE, np.array([True, True, False]))
    assert float(masked.value.array) == pytest.approx(float(run(mode, penalty, x[:2], SEQUENCE).value.array), rel=1e-15)


@EVERY_MODE
def test_the_mean_is_over_the_samples_that_count_even_if_it_is_one(mode: str) -> None:
    """A single sample that counts is a mean of itself; where none counts the penalty is 0."""
    x = np.array([[[3.0, 0.0], [4.0, 0.0]], [[1.0, 2.0], [7.0, 9.0]]])
    for where, value in (([True, False], 1.0), ([False, False], 0.0)):
        assert float(run(mode, UNITS, x, SEQUENCE, np.array(where)).value.array) == value


@EVERY_MODE
@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("power", [-65, 55])
def test_a_power_of_two_with_eps_to_match_changes_no_bit(name: str, power: int, mode: str) -> None:
    """The squares of these sizes and eps beside them are no float32 numbers; their ratio is, and is the same."""
    x, eps = np.array([[0.3, -1.7, 0.0], [2.0, 0.01, -0.6]], dtype=np.float32), 0.25
    here = run(mode, config(name, strength=0.6, eps=eps), x, MATRIX, dtype="float32")
    scaled = config(name, strength=0.6, eps=math.ldexp(eps, 2 * power))
    there = run(mode, scaled, x * 2.0**power, MATRIX, dtype="float32")
    assert there.value.array == here.value.array
    np.testing.assert_array_equal(there.gradient.array * 2.0**power, here.gradient.array)


@EVERY_MODE
@pytest.mark.parametrize("name", NAMES)
def test_a_power_of_two_changes_no_bit(name: str, mode: str) -> None:
    """In float32 the ratio is the same to the bit from 2⁻¹⁰⁰ to 2¹⁰⁰, and the gradient the same over the factor."""
    x = np.array([[0.3, -1.7, 0.0], [0.0, 0.0, 0.0], [2.0, 0.01, -0.6]], dtype=np.float32)
    here = run(mode, config(name, strength=0.6), x, MATRIX, dtype="float32")
    for power in (-100, 20, 100):
        there = run(mode, config(name, strength=0.6), x * 2.0**power, MATRIX, dtype="float32")
        assert there.value.array == here.value.array
        np.testing.assert_array_equal(there.gradient.array * 2.0**power, here.gradient.array)


@EVERY_MODE
@pytest.mark.parametrize("name", NAMES)
def test_a_ratio_lies_between_one_and_the_number_of_its_parts(name: str, mode: str) -> None:
    """One element, or group, costs 1; n that are alike cost n, or its root; there the gradient is 0."""
    single, alike = np.array([[0.0, 0.0], [-5.0, 0.0], [0.0, 0.0]]), np.array([[2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])
    most = {"Hoyer": 6**0.5, "HoyerSquare": 6.0, "GroupHoyerSquare": 3.0}[name]
    for x, due in ((single, 1.0), (alike, most)):
        result = run(mode, config(name, strength=1.0), x, MATRIX)
        assert float(result.value.array) == pytest.approx(due, rel=1e-15)
        np.testing.assert_allclose(result.gradient.array, np.zeros(x.shape), atol=1e-15)


@EVERY_MODE
def test_squares_beneath_the_range_beside_eps_cost_nothing(mode: str) -> None:
    """1e-30 squared over 0.01 is no float32, so value and gradient are 0, neither NaN nor infinite."""
    penalty = config("GroupHoyerSquare", strength=1.0, eps=0.01)
    result = run(mode, penalty, np.full((2, 2), 2.0**-100), MATRIX, dtype="float32")
    assert result.value.array == 0
    assert not result.gradient.array.any()


@EVERY_FRAMEWORK
def test_groups_within_a_sample_are_not_indexed_by_samples(framework: str) -> None:
    """With a ratio for each sample, "sample" among the groups says nothing; over the batch it does."""
    m = package(framework)
    for groups in ("sample", ("sample", "feature")):
        with pytest.raises(ValueError, match="groups") as caught:
            m.GroupHoyerSquare(0.1, groups=groups)
        given = (groups,) if isinstance(groups, str) else groups
        assert str(caught.value) == (
            "GroupHoyerSquare: groups must be without 'sample' unless over='batch', since each sample has a ratio of "
            f"its own; got {given!r}."
        )
        assert m.GroupHoyerSquare(0.1, groups=groups, over="batch").groups == given


@EVERY_FRAMEWORK
@pytest.mark.parametrize("name", NAMES)
def test_what_a_ratio_is_of_is_one_of_two_words(framework: str, name: str) -> None:
    """``over`` is "sample" or "batch"; a ratio is never additive."""
    penalty = getattr(package(framework), name)
    for over, kind in (("all", ValueError), (None, TypeError)):
        with pytest.raises(kind) as caught:
            penalty(0.1, over=over)
        assert str(caught.value) == f"{name}: over must be one of 'sample', 'batch'; got {over!r}."
    assert not any(penalty(0.1, over=over).additive(BATCH) for over in ("sample", "batch"))


def groups(by: Any, **more: Any) -> Config:
    """A ratio of group norms."""
    return config("GroupHoyerSquare", strength=0.02, groups=by, **more)


HOYER, EPS = config("Hoyer", strength=0.03), config("Hoyer", strength=0.03, eps=0.1)
TERMS: tuple[TermSpec, ...] = (
    spec("few weights", HOYER, "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("few of all", EPS, "params", "**", *CONVOLUTIONS, "head.kernel", role="kernel", joint=True),
    spec("few filters", groups("out"), "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("few channels", groups("in", eps=0.01), "params", "conv2.*", "conv2.kernel", role="kernel"),
    spec("few taps", groups("kernel"), "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("few units", HOYER, "activations", "act*", "act1", "act2", laid_out=True),
    spec("few units, masked", EPS, "activations", "conv1", "conv1", mask="places"),
    spec("few of the batch", WHOLE, "activations", "conv2", "conv2", mask="rows"),
    spec("few maps", groups("feature"), "activations", "conv*", "conv1", "conv2", mask="places"),
    spec("few places", groups("position", eps=0.01), "activations", "norm1", "norm1"),
    spec("few maps of the batch", groups("feature", over="batch"), "activations", "act2", "act2", laid_out=True),
)  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_a_model_gives_the_same_numbers_in_every_world(world: str) -> None:
    """Parameters and activations, channel-first and channel-last, with masks: the ratios are of the same elements."""
    assert_agrees(world, CNN, TERMS)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("penalty", [HOYER, groups("feature")], ids=str)
def test_a_ratio_is_never_divided(penalty: Config, world: str) -> None:
    """An explicit ``per`` is refused, the same whole sentence in every world."""
    with pytest.raises(ValueError, match="per") as caught:
        outcome(world, MLP, (spec("wrong", penalty, "activations", "first", "first", per="example"),))
    due = f"activations: per must be None, because {penalty.name} is not additive; got 'example'."
    assert str(caught.value) == due


@pytest.mark.parametrize("world", WORLDS)
def test_groups_by_position_need_positions(world: str) -> None:
    """Features alone have none: an error that names the axes, not a ratio of one group."""
    with pytest.raises(ValueError, match="groups") as caught:
        outcome(world, MLP, (spec("wrong", groups("position"), "activations", "first", "first"),))
    assert str(caught.value) == (
        "GroupHoyerSquare: groups must be among the axes that the array has, and 'position' is not; got "
        "('sample', 'feature')."
    )
