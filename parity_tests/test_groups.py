"""Norms and sums over groups: worked out by hand, ties and kinks of their own, options, errors, models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import FAST, PACKAGES, Problem, Result, package, value_and_grad
from parity_tests.configs import Config, config
from parity_tests.models.agreement import WORLDS, assert_agrees, outcome
from parity_tests.models.networks import CNN, MLP
from parity_tests.models.regularizers import CONVOLUTIONS, PER
from parity_tests.models.terms import TermSpec, spec
from parity_tests.oracles import Axes

EVERY_MODE = pytest.mark.parametrize("mode", FAST)
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
VECTOR, MATRIX, BATCH, CONV = ("out",), ("out", "in"), ("sample", "feature"), ("out", "in", "k0", "k1")
ROOT2, T = math.sqrt(2), 1 / 3
NOT_FIRST = np.array([False, True])
PENALTIES = ("SparseGroupLasso", "ExclusiveLasso", "GroupLinf")


def run(mode: str, penalty: Config, x: Any, axes: Axes, where: Any = None, dtype: str = "float64") -> Result:
    """Value and gradient."""
    return value_and_grad(mode, penalty.build, Problem(np.array(x, dtype=float), dtype, axes, where))


LINF, EXCLUSIVE = config("LinfNorm", strength=2.0), config("ExclusiveLasso", strength=2.0)
ROWS, COLUMNS = config("GroupLinf", strength=1.0), config("GroupLinf", strength=1.0, groups="in")
WITHIN, EACH = config("GroupLinf", strength=1.0, groups="sample"), config("GroupLinf", strength=1.0, groups=MATRIX)
HALF = config("SparseGroupLasso", strength=1.0)
QUARTER = config("SparseGroupLasso", strength=2.0, alpha=0.25, size_weighted=False)

BY_HAND: list[tuple[Config, Any, Axes, Any, float, Any]] = [
    (LINF, [3, -4, 4, 0], VECTOR, None, 8, [0, -1, 1, 0]),
    (LINF, [[1, -2], [0, 1]], MATRIX, None, 4, [[0, -2], [0, 0]]),
    (LINF, [0, 0], VECTOR, None, 0, [0, 0]),
    (LINF, -3, (), None, 6, -2),
    (LINF, [[9, 9], [1, -1]], BATCH, NOT_FIRST, 2, [[0, 0], [1, -1]]),
    (LINF, [[9, 9], [0, 0]], BATCH, NOT_FIRST, 0, [[0, 0], [0, 0]]),
    (ROWS, [[3, -3], [0, 0], [1, 2]], MATRIX, None, 5, [[0.5, -0.5], [0, 0], [0, 1]]),
    (COLUMNS, [[3, -3], [0, 3], [1, 2]], MATRIX, None, 6, [[1, -0.5], [0, 0.5], [0, 0]]),
    (EACH, [[3, -3], [0, 1]], MATRIX, None, 7, [[1, -1], [0, 1]]),
    (ROWS, [[[[3, -3]], [[3, 0]]], [[[0, 0]], [[2, 1]]]], CONV, None, 5, [[[[T, -T]], [[T, 0]]], [[[0, 0]], [[1, 0]]]]),
    (WITHIN, [[9, 9], [1, -1]], BATCH, NOT_FIRST, 1, [[0, 0], [0.5, -0.5]]),
    (EXCLUSIVE, [[1, -2], [0, 3]], MATRIX, None, 18, [[6, -6], [0, 6]]),
    (config("ExclusiveLasso", strength=2.0, groups="in"), [[1, -2], [0, 3]], MATRIX, None, 26, [[2, -10], [0, 10]]),
    (HALF, [[3, -4], [0, 0]], MATRIX, None, 2.5 * ROOT2 + 3.5, [[0.3 * ROOT2 + 0.5, -0.4 * ROOT2 - 0.5], [0, 0]]),
    (QUARTER, [[3, -4], [0, 2]], MATRIX, None, 15, [[1.4, -1.7], [0, 2]]),
]  # fmt: skip


@EVERY_MODE
@pytest.mark.parametrize(("penalty", "x", "axes", "where", "value", "gradient"), BY_HAND, ids=str)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: Any, axes: Axes, where: Any, value: float, gradient: Any, mode: str
) -> None:
    """The formula on numbers small enough for paper, as the oracle and as the packages have it."""
    due, got = penalty.oracle(np.array(x, dtype=float), axes, where), run(mode, penalty, x, axes, where)
    for measured, slope in ((due.value, due.gradient), (float(got.value.array), got.gradient.array)):
        assert measured == pytest.approx(value, rel=1e-15, abs=0)
        np.testing.assert_allclose(slope, gradient, rtol=1e-14)


@EVERY_MODE
@pytest.mark.parametrize("penalty", [config("LinfNorm", strength=1.0), ROWS], ids=str)
def test_the_largest_of_a_narrow_type_are_found_in_it(penalty: Config, mode: str) -> None:
    """Ties are those of the numbers given: 1 and the next bfloat16 are two, 1 and what rounds to it are one."""
    axes = VECTOR if penalty.name == "LinfNorm" else ("in", "out")
    x = np.array([1.0, -1.0, 1.0 - 2.0**-8, 0.0]).reshape((-1,) if axes == VECTOR else (4, 1))
    result = run(mode, penalty, x, axes, dtype="bfloat16")
    np.testing.assert_array_equal(result.gradient.array.ravel(), [0.5, -0.5, 0.0, 0.0])


@EVERY_MODE
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", PENALTIES)
def test_other_groups_keep_their_gradients(name: str, bad: float, mode: str) -> None:
    """A NaN or an infinity in one group leaves the gradients of the other groups alone, and reaches the value."""
    penalty, x = config(name, strength=0.4), np.array([[3.0, 4.0], [1.0, 2.0], [0.0, 0.0]])
    spoilt = x.copy()
    spoilt[0, 0] = bad
    clean, result = run(mode, penalty, x, MATRIX), run(mode, penalty, spoilt, MATRIX)
    np.testing.assert_array_equal(result.gradient.array[1:], clean.gradient.array[1:])
    np.testing.assert_equal(float(result.value.array), bad)


@EVERY_MODE
def test_a_zero_group_under_a_mask_counts_only_what_is_there(mode: str) -> None:
    """The size of a group is what the mask lets count, for the weight as for the sum."""
    penalty = config("SparseGroupLasso", strength=1.0, groups="feature", alpha=0.5)
    x, where = np.array([[3.0, 0.0], [4.0, 0.0], [7.0, 7.0]]), np.array([True, True, False])
    result = run(mode, penalty, x, BATCH, where)
    assert float(result.value.array) == pytest.approx(2.5 * ROOT2 + 3.5, rel=1e-15)
    assert not result.gradient.array[:, 1].any()
    assert not result.gradient.array[2].any()


@EVERY_MODE
@pytest.mark.parametrize(("alpha", "same"), [(0.0, "GroupLasso"), (1.0, "L1")])
def test_the_ends_of_alpha_are_the_parts(alpha: float, same: str, mode: str) -> None:
    """alpha=0 is the group lasso and alpha=1 the sum of absolute values, to the bit, at an infinity too."""
    for x in ([[3.0, -4.0, 0.1], [0.0, 0.7, 0.0]], [[3.0, -math.inf, 0.1], [0.0, 0.7, 0.0]]):
        mixed = run(mode, config("SparseGroupLasso", strength=0.3, alpha=alpha), x, MATRIX)
        alone = run(mode, config(same, strength=0.3), x, MATRIX)
        assert mixed.value.array == alone.value.array
        np.testing.assert_array_equal(mixed.gradient.array, alone.gradient.array)


@EVERY_MODE
def test_a_square_that_overflows_is_infinite_and_its_gradient_right(mode: str) -> None:
    """The exclusive lasso of 1e25 is beyond float32; its gradient, the 1-norm, is not."""
    x = np.array([[2.0**80, -(2.0**81)], [1.0, 0.0]])
    result = run(mode, config("ExclusiveLasso", strength=1.0), x, MATRIX, dtype="float32")
    assert result.value.array == math.inf
    np.testing.assert_array_equal(result.gradient.array, [[3 * 2.0**80, -3 * 2.0**80], [1.0, 0.0]])


@EVERY_FRAMEWORK
@pytest.mark.parametrize(
    ("alpha", "kind"),
    [(-0.1, ValueError), (1.5, ValueError), (math.nan, ValueError), ("1", TypeError), (True, TypeError)],
)
def test_alpha_is_a_share(framework: str, alpha: Any, kind: type[Exception]) -> None:
    """From 0 to 1, both included."""
    with pytest.raises(kind) as caught:
        package(framework).SparseGroupLasso(0.1, alpha=alpha)
    assert str(caught.value) == f"SparseGroupLasso: alpha must be a number >= 0 and <= 1; got {alpha!r}."
    assert package(framework).SparseGroupLasso(0.1, alpha=1) == package(framework).SparseGroupLasso(0.1, alpha=1.0)


@EVERY_FRAMEWORK
@pytest.mark.parametrize("name", PENALTIES)
def test_they_are_additive_where_samples_index_the_groups(framework: str, name: str) -> None:
    """Groups by feature reach over the batch: no sum over samples, not even for what the L1 part would be alone."""
    penalty = getattr(package(framework), name)
    assert penalty(1.0, groups=("feature", "sample")).additive(BATCH)
    assert penalty(1.0, groups="sample").additive(BATCH)
    assert not penalty(1.0, groups="feature").additive(BATCH)
    assert not package(framework).LinfNorm(1.0).additive(BATCH)


def sparse(groups: Any, **more: Any) -> Config:
    """A sparse group lasso."""
    return config("SparseGroupLasso", strength=0.02, groups=groups, **more)


MAX, TOP = config("LinfNorm", strength=0.3), config("GroupLinf", strength=0.05, groups="sample")
RIVALS = config("ExclusiveLasso", strength=0.01, groups=("sample", "position"))
MAPS, IN = sparse(("sample", "feature"), size_weighted=False), config("ExclusiveLasso", strength=0.02, groups="in")
TAPS, PEAKS = (config("GroupLinf", strength=0.02, groups=groups) for groups in ("kernel", "feature"))
TERMS: tuple[TermSpec, ...] = (
    spec("largest weight", MAX, "params", "**", *CONVOLUTIONS, "head.kernel", role="kernel", joint=True),
    spec("largest of each", MAX, "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("largest gain", MAX, "params", "**", "norm1.scale", "norm2.scale", role="scale"),
    spec("filters", sparse("out", alpha=0.3), "params", "**", *CONVOLUTIONS, "head.kernel", role="kernel"),
    spec("rivals", IN, "params", "conv2.*", "conv2.kernel", role="kernel"),
    spec("taps", TAPS, "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("largest unit", MAX, "activations", "conv1", "conv1", mask="places"),
    spec("features", sparse("feature"), "activations", "conv2", "conv2", mask="places"),
    spec("peaks of features", PEAKS, "activations", "norm1", "norm1"),
    *(spec(f"peaks per {per}", TOP, "activations", "conv1", "conv1", per=per, mask="places") for per in PER),
    *(spec(f"rivals per {per}", RIVALS, "activations", "act2", "act2", per=per, laid_out=True) for per in PER),
    *(spec(f"maps per {per}", MAPS, "activations", "act1", "act1", per=per, mask="rows", laid_out=True) for per in PER),
)  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_a_model_gives_the_same_numbers_in_every_world(world: str) -> None:
    """Parameters and activations, channel-first and channel-last, each ``per`` and a mask: the groups are the same."""
    assert_agrees(world, CNN, TERMS)


WRONG = (
    ("GroupLinf", "feature", "params", {}, "groups", ("out", "in")),
    ("ExclusiveLasso", "position", "activations", {}, "groups", BATCH),
    ("SparseGroupLasso", "feature", "activations", {"per": "example"}, "per", None),
    ("GroupLinf", "feature", "activations", {"per": "element"}, "per", None),
)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("name", "groups", "on", "options", "argument", "axes"), WRONG)
def test_what_means_nothing_is_an_error(
    name: str, groups: str, on: str, options: dict[str, str], argument: str, axes: Axes, world: str
) -> None:
    """Groups by an axis that is not there, and a division of what is no sum: the same whole sentence in every world."""
    pattern, means = ("first.*", "first.kernel") if on == "params" else ("first", "first")
    options = {"role": "kernel"} if on == "params" else options
    with pytest.raises(ValueError, match="must be") as caught:
        outcome(world, MLP, (spec("wrong", config(name, strength=0.1, groups=groups), on, pattern, means, **options),))
    assert (
        str(caught.value)
        == {
            "groups": f"{name}: groups must be among the axes that the array has, and {groups!r} is not; got {axes!r}.",
            "per": f"activations: per must be None, because {name} is not additive; got {options.get('per')!r}.",
        }[argument]
    )
