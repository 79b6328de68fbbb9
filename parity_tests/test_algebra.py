"""Penalties as objects: sums, multiples, plain functions, equality, hashes, additivity."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import PACKAGES, PLAIN, Problem, Result, package, value_and_grad
from parity_tests.cases import tiered
from parity_tests.configs import Config, config
from parity_tests.families import CONFIGS, fits
from parity_tests.oracles import Axes
from parity_tests.targets import Target

EVERY_MODE = pytest.mark.parametrize("mode", PLAIN)
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
X = np.random.default_rng(5).standard_normal((4, 3))
CONV = Target("conv", ("out", "in", "k0", "k1"), (3, 2, 2, 3))
MATRIX, BATCH = ("out", "in"), ("sample", "feature")
PARTS = (config("L1", strength=0.3), config("GroupLasso", strength=0.4), config("Orthogonal", strength=0.2))


def run(mode: str, build: Any, axes: Axes | None = MATRIX) -> Result:
    """Value and gradient of the penalty that ``build`` makes of a package, in float64."""
    return value_and_grad(mode, build, Problem(X, "float64", axes))


def assert_combination(result: Result, parts: list[tuple[float, Config]], axes: Axes = MATRIX) -> None:
    """The result is the weighted sum of the oracles of the parts."""
    due = [(weight, part.oracle(X, axes)) for weight, part in parts]
    value = sum(weight * part.value for weight, part in due)
    gradient = sum((weight * part.gradient for weight, part in due), start=np.zeros(X.shape))
    np.testing.assert_allclose(result.value.array, value, rtol=1e-13)
    np.testing.assert_allclose(result.gradient.array, gradient, rtol=1e-12)


@EVERY_MODE
def test_a_sum_is_the_sum(mode: str) -> None:
    """(p + q + r)(x) is p(x) + q(x) + r(x), value and gradient."""
    result = run(mode, lambda m: PARTS[0].build(m) + PARTS[1].build(m) + PARTS[2].build(m))
    assert_combination(result, [(1.0, part) for part in PARTS])


@EVERY_MODE
def test_a_multiple_is_the_multiple(mode: str) -> None:
    """2.5 * p is p * 2.5, and a multiple of a sum multiplies each part."""
    for build in (lambda m: 2.5 * PARTS[0].build(m), lambda m: PARTS[0].build(m) * 2.5):
        assert_combination(run(mode, build), [(2.5, PARTS[0])])
    nested = run(mode, lambda m: 2.0 * (PARTS[0].build(m) + 0.5 * PARTS[1].build(m)))
    assert_combination(nested, [(2.0, PARTS[0]), (1.0, PARTS[1])])


@EVERY_MODE
def test_a_multiple_by_zero_is_zero(mode: str) -> None:
    """0 * p and a strength of 0 cost exactly 0, with gradients of exactly 0."""
    for build in (lambda m: 0 * PARTS[1].build(m), lambda m: m.GroupLasso(0.0)):
        result = run(mode, build)
        assert result.value.array == 0.0
        assert not result.gradient.array.any()


@EVERY_MODE
def test_a_plain_function_is_a_penalty(mode: str) -> None:
    """from_function's value is the function's, and it adds and multiplies like any other penalty."""
    mine = config("L2", strength=1.0)
    result = run(mode, lambda m: m.Penalty.from_function(square, name="mine"))
    assert_combination(result, [(1.0, mine)])
    mixed = run(mode, lambda m: 3.0 * m.Penalty.from_function(square, name="mine") + PARTS[0].build(m))
    assert_combination(mixed, [(3.0, mine), (1.0, PARTS[0])])


def square(x: Any) -> Any:
    """The sum of squares, for arrays of either framework."""
    return (x**2).sum()


@EVERY_MODE
def test_a_plain_function_gets_the_dtype_of_accumulation(mode: str) -> None:
    """A function of a bfloat16 array computes in float32."""
    seen: list[str] = []

    def note(x: Any) -> Any:
        seen.append(str(x.dtype).removeprefix("torch."))
        return square(x)

    problem = Problem(np.ones((2, 2)), "bfloat16", MATRIX)
    result = value_and_grad(mode, lambda m: m.Penalty.from_function(note, name="mine"), problem)
    assert set(seen) == {"float32"}
    assert (result.value.dtype, result.gradient.dtype) == ("float32", "bfloat16")


@EVERY_MODE
@pytest.mark.parametrize("penalty", [tiered(c) for c in CONFIGS if fits(c, CONV)], ids=str)
def test_default_axes_are_those_of_a_parameter(penalty: Config, mode: str) -> None:
    """Without axes an array is a parameter: out, in, k0, k1 by its rank."""
    x = np.random.default_rng(6).standard_normal(CONV.shape)
    given, default = (value_and_grad(mode, penalty.build, Problem(x, "float64", names)) for names in (CONV.axes, None))
    assert given.value.array == default.value.array
    np.testing.assert_array_equal(given.gradient.array, default.gradient.array)


@EVERY_FRAMEWORK
@pytest.mark.parametrize("penalty", CONFIGS, ids=str)
def test_equal_configuration_is_an_equal_object(framework: str, penalty: Config) -> None:
    """Two penalties of one configuration are equal, hash alike, and are one key of a dictionary."""
    module = package(framework)
    one, other = penalty.build(module), penalty.build(module)
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert 2.0 * one == 2.0 * other
    assert hash(2.0 * one) == hash(2.0 * other)


@EVERY_FRAMEWORK
def test_other_configuration_is_another_object_with_another_hash(framework: str) -> None:
    """L1(s) and L2(s) have the same fields and must not share a compiled trace: the class is in the hash."""
    m = package(framework)
    every = [penalty.build(m) for penalty in CONFIGS]
    every += [m.L1(0.7), m.L2(0.3), m.L2Norm(0.3), m.L1(0.3) + m.L2(0.7), m.L2(0.7) + m.L1(0.3), 2.0 * m.L1(0.3)]
    assert len(set(every)) == len(every)
    assert hash(m.L1(0.5)) != hash(m.L2(0.5)) != hash(m.L2Norm(0.5))


@EVERY_FRAMEWORK
def test_an_integer_strength_is_its_float(framework: str) -> None:
    """L1(1) is L1(1.0)."""
    m = package(framework)
    assert m.L1(1) == m.L1(1.0)
    assert type(m.L1(1).strength) is float
    assert m.L1(np.float64(0.5)) == m.L1(0.5)


@EVERY_FRAMEWORK
@pytest.mark.parametrize("penalty", CONFIGS, ids=str)
def test_penalties_are_frozen_dataclasses(framework: str, penalty: Config) -> None:
    """Nothing can be assigned, and the representation says how to make it again."""
    module = package(framework)
    made: Any = penalty.build(module)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, penalty.arguments[0][0], 1.0)
    assert eval(repr(made), vars(module) | {}) == made


@EVERY_MODE
def test_a_sum_has_the_default_axes_of_the_part_that_needs_others(mode: str) -> None:
    """Of an entropy and a norm: samples and features, not the outputs and inputs of a parameter."""
    for build in (lambda m: m.NegativeEntropy(0.3) + m.L1(0.3), lambda m: m.L1(0.3) + m.NegativeEntropy(0.3)):
        found, due = run(mode, build, None), run(mode, build, BATCH)
        np.testing.assert_array_equal(found.gradient.array, due.gradient.array)


@EVERY_FRAMEWORK
def test_what_at_returns_is_frozen(framework: str) -> None:
    """Values are bound anew, not exchanged."""
    m = package(framework)
    bound = m.Regularizer(m.L1(0.1).on(m.params())).at(step=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        bound.values = None


@EVERY_FRAMEWORK
def test_axes_and_mask_are_keywords(framework: str) -> None:
    """What comes after the array is named."""
    with pytest.raises(TypeError):
        package(framework).L1(0.1)(None, MATRIX)


@EVERY_MODE
def test_a_scalar_may_be_masked_by_a_scalar(mode: str) -> None:
    """It counts or it does not."""
    for keep, due in ((True, 1.0), (False, 0.0)):
        problem = Problem(np.array(-2.0), "float64", (), np.array(keep))
        assert value_and_grad(mode, lambda m: m.L1(0.5), problem).value.array == due


def additive(m: ModuleType) -> list[tuple[Any, Axes, bool]]:
    """Which penalties are sums over samples."""
    return [
        (m.L1(1.0), BATCH, True),
        (m.L2(1.0), BATCH, True),
        (m.ElasticNet(1.0, 1.0), BATCH, True),
        (m.L2Norm(1.0), BATCH, False),
        (m.HoyerSquare(1.0), BATCH, False),
        (m.HoyerSquare(1.0, over="batch"), BATCH, False),
        (m.GroupLasso(1.0, groups="sample"), BATCH, True),
        (m.GroupLasso(1.0, groups=("sample", "position")), ("sample", "p0", "feature"), True),
        (m.GroupLasso(1.0, groups="feature"), BATCH, False),
        (m.Orthogonal(1.0), MATRIX, False),
        (2.0 * m.L1(1.0), BATCH, True),
        (m.L1(1.0) + m.L2(1.0), BATCH, True),
        (m.L1(1.0) + m.L2Norm(1.0), BATCH, False),
        (m.Penalty.from_function(square, name="mine"), BATCH, False),
        (m.Penalty.from_function(square, name="mine", additive=True), BATCH, True),
    ]


@EVERY_FRAMEWORK
def test_additive_says_whether_a_penalty_is_a_sum_over_samples(framework: str) -> None:
    """So that ``per`` knows what may be divided."""
    for penalty, axes, due in additive(package(framework)):
        assert penalty.additive(axes) is due, penalty
