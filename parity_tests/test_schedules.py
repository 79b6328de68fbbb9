"""Schedules have optax's names, arguments and values in both packages, are equal by configuration, and trace once."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import PACKAGES, package, require
from parity_tests.schedule_cases import CONFIGURATIONS, EVERY_CONFIGURATION, joined

EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
STEPS = (*range(1000), 10_000, -3, 0.5, 99.25, math.inf)
TOLERANCE = 1e-12


def optax_values(jax: ModuleType, curve: Any) -> np.ndarray:
    """What a schedule of optax's own says in float64."""
    return np.broadcast_to(jax.vmap(curve)(jax.numpy.asarray(STEPS)), len(STEPS))


def torch_values(curve: Any, kind: str) -> np.ndarray:
    """What torchreg says, on Python numbers, or on scalars or one vector of float64."""
    import torch

    if kind == "number":
        return np.array([curve(step) for step in STEPS], dtype=np.float64)
    vector = torch.tensor(STEPS, dtype=torch.float64)
    found = [curve(step) for step in vector] if kind == "scalar" else curve(vector)
    return np.broadcast_to(np.asarray(found, dtype=np.float64), len(STEPS))


@EVERY_CONFIGURATION
@pytest.mark.parametrize("kind", ["number", "scalar", "vector"])
def test_torchreg_has_the_values_of_optax(float64_jax: ModuleType, name: str, given: dict[str, Any], kind: str) -> None:
    """Over 1,000 steps and beyond both ends, in float64."""
    import optax

    expected = optax_values(float64_jax, getattr(optax, name)(**given))
    found = torch_values(getattr(package("torch").schedules, name)(**given), kind)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@EVERY_CONFIGURATION
def test_jaxreg_has_the_values_of_optax(float64_jax: ModuleType, name: str, given: dict[str, Any]) -> None:
    """To the bit: it is the same computation."""
    import optax

    found = optax_values(float64_jax, getattr(package("jax").schedules, name)(**given))
    np.testing.assert_array_equal(found, optax_values(float64_jax, getattr(optax, name)(**given)))


def test_every_schedule_of_optax_is_here() -> None:
    """The public functions of optax that make a schedule, no more and no fewer, with optax's arguments and defaults."""
    require("jax")
    import optax

    found = package("jax").schedules
    ends = ("_schedule", "_schedules", "_decay")
    theirs = {name for name in dir(optax.schedules) if name.endswith(ends) and not name.startswith("_")}
    assert theirs == set(found.__all__) - {"Schedule"} == {name for name, _ in CONFIGURATIONS} | {"join_schedules"}
    for name in theirs:
        mine, other = (inspect.signature(getattr(module, name)).parameters for module in (found, optax))
        assert [(p.name, p.kind, p.default) for p in mine.values()] == [
            (p.name, p.kind, p.default) for p in other.values()
        ], name


def test_schedules_are_joined_as_optax_joins_them(float64_jax: ModuleType) -> None:
    """Each is called with the steps since its boundary, a plain callable like any other."""
    import optax

    expected = optax_values(float64_jax, joined(optax))
    np.testing.assert_array_equal(optax_values(float64_jax, joined(package("jax").schedules)), expected)
    for kind in ("number", "scalar", "vector"):
        found = torch_values(joined(package("torch").schedules), kind)
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@EVERY_FRAMEWORK
@EVERY_CONFIGURATION
def test_equal_configuration_is_an_equal_object(framework: str, name: str, given: dict[str, Any]) -> None:
    """However often it was made, copied or pickled; its text makes it again."""
    schedules = package(framework).schedules
    one = getattr(schedules, name)(**given)
    others = [getattr(schedules, name)(**copy.deepcopy(given)), copy.deepcopy(one), pickle.loads(pickle.dumps(one))]
    assert [other == one for other in others] == [True] * 3
    assert {one, *others} == {one}
    assert eval(repr(one), vars(schedules)) == one


@EVERY_FRAMEWORK
def test_another_configuration_is_another_object(framework: str) -> None:
    """Another argument, another name, or another callable among those joined."""
    s = package(framework).schedules
    line = s.linear_schedule(0.0, 1.0, 10)
    assert line == s.linear_schedule(init_value=0, end_value=1, transition_steps=10, transition_begin=0)
    assert line != s.linear_schedule(0.0, 1.0, 11)
    assert line != s.polynomial_schedule(0.0, 1.0, 1, 10)
    assert joined(s) != joined(s)
    assert s.join_schedules([line, line], [4]) == s.join_schedules((line, s.linear_schedule(0.0, 1.0, 10)), (4,))


@EVERY_FRAMEWORK
def test_a_misspelt_name_is_answered_with_the_nearest(framework: str) -> None:
    """The module knows what it has."""
    with pytest.raises(AttributeError) as caught:
        _ = package(framework).schedules.linear_shedule
    assert str(caught.value).startswith(
        "schedules: name must be that of a schedule; got 'linear_shedule'. Nearest names: 'linear_schedule', "
    )
    assert not hasattr(package(framework).schedules, "__path__")
