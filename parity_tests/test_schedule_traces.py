"""Schedules under the compilers: one trace for all steps, no look at a step's value, and the dtype of the step."""

from __future__ import annotations

import math
from typing import Any

import pytest

from parity_tests.backends import package, require
from parity_tests.schedule_cases import CONFIGURATIONS, EVERY_CONFIGURATION, joined


def schedules_of(framework: str) -> list[Any]:
    """Every configuration, made by one package."""
    schedules = package(framework).schedules
    return [*(getattr(schedules, name)(**given) for name, given in CONFIGURATIONS), joined(schedules)]


def test_jax_traces_all_schedules_once() -> None:
    """A new step is a new value, not a new trace, and an equal regularizer given as a static argument is the same."""
    require("jax")
    import jax

    traces = []

    def factors(curves: tuple[Any, ...], step: Any) -> list[Any]:
        traces.append(step)
        return [curve(step) for curve in curves]

    jitted = jax.jit(factors, static_argnums=0)
    for step in range(50):
        jitted(tuple(schedules_of("jax")[:-1]), step)  # the last one joins a function, which is new each time
    assert len(traces) == 1


def test_torch_compiles_all_schedules_once() -> None:
    """Fullgraph, with a tensor step: one graph for all steps, whose values are those without it."""
    require("torch")
    import torch
    from torch._dynamo.testing import CompileCounterWithBackend

    curves = schedules_of("torch")

    def factors(step: Any) -> list[Any]:
        return [curve(step) for curve in curves]

    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(factors, backend=counter, fullgraph=True)
    for step in (0, 1, 2, 50, 100, 101, 500, 999):
        count = torch.tensor(step)
        torch.testing.assert_close(
            [torch.as_tensor(x) for x in compiled(count)], [torch.as_tensor(x) for x in factors(count)]
        )
    assert counter.frame_count == 1


@EVERY_CONFIGURATION
def test_a_tensor_step_stays_on_its_device(name: str, given: dict[str, Any]) -> None:
    """A tensor without values goes through: nothing reads it back, and what is made beside it is made where it is."""
    require("torch")
    import torch

    curve = getattr(package("torch").schedules, name)(**given)
    found = curve(torch.empty((), dtype=torch.int64, device="meta"))
    assert isinstance(found, int | float) or (found.device.type, found.shape) == ("meta", ())


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("int64", "float32"),
        ("int32", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("bfloat16", "float32"),
    ],
)
def test_the_factor_has_the_dtype_of_the_step(dtype: str, expected: str) -> None:
    """An integer step gives the default dtype, a half-precision one is widened first."""
    require("torch")
    import torch

    for curve in schedules_of("torch"):
        found = curve(torch.tensor(7, dtype=getattr(torch, dtype)))
        assert not isinstance(found, torch.Tensor) or found.dtype == getattr(torch, expected), curve


def test_a_number_gives_a_number() -> None:
    """Python's numbers stay Python's, so that a factor never changes the dtype or the device of a penalty."""
    require("torch")
    for curve in schedules_of("torch"):
        assert isinstance(curve(7), int | float), curve
        assert isinstance(curve(7.5), int | float), curve


def test_a_step_that_is_not_a_number_is_not_hidden() -> None:
    """NaN comes out wherever the step enters, also where the value is chosen by comparisons."""
    require("torch")
    import torch

    schedules = package("torch").schedules
    for name, given in CONFIGURATIONS:
        curve = getattr(schedules, name)(**given)
        if curve(0) == curve(50) == curve(999):
            continue  # constant: the step does not enter
        assert math.isnan(curve(math.nan)), curve
        assert curve(torch.tensor(math.nan)).isnan(), curve


@pytest.mark.parametrize("step", ["3", None, [1], 1j])
def test_what_is_no_step_is_a_type_error(step: object) -> None:
    """The sentence names what was given."""
    require("torch")
    curve = package("torch").schedules.linear_schedule(0.0, 1.0, 10)
    with pytest.raises(TypeError) as caught:
        curve(step)
    assert str(caught.value) == f"Schedule: count must be a number of steps; got {step!r}."


def test_a_boolean_or_complex_tensor_is_no_step() -> None:
    """The sentence names the dtype."""
    require("torch")
    import torch

    curve = package("torch").schedules.linear_schedule(0.0, 1.0, 10)
    for dtype in ("bool", "complex64"):
        with pytest.raises(TypeError) as caught:
            curve(torch.ones((), dtype=getattr(torch, dtype)))
        assert str(caught.value) == f"Schedule: count must be a number of steps; got 'torch.{dtype}'."


def test_a_regularizer_takes_its_factor_from_a_schedule() -> None:
    """In PyTorch with a tensor or a number as the step; the penalty keeps its dtype."""
    require("torch")
    import torch

    reg = package("torch")
    model = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    schedule = reg.schedules.linear_schedule(0.0, 1.0, 10)
    regularizer = reg.Regularizer(reg.L1(1.0).on(reg.params(), name="l1", schedule=schedule))
    for step in (5, torch.tensor(5)):
        total = regularizer.at(step=step).apply(model, torch.ones(1, 2))[1].total
        assert (total.item(), total.dtype) == (1.0, torch.float32)


def test_a_flax_regularizer_takes_its_factor_from_a_schedule() -> None:
    """Under jit with a traced step; equal regularizers, made twice, share a trace."""
    require("jax")
    import jax
    import jax.numpy as jnp

    reg, traces = package("jax"), []

    def make() -> Any:
        schedule = reg.schedules.linear_schedule(0.0, 1.0, 10)
        return reg.Regularizer(reg.L1(1.0).on(reg.params(), name="l1", schedule=schedule))

    def total(regularizer: Any, step: Any) -> Any:
        traces.append(step)
        return regularizer.at(step=step).evaluate(params={"kernel": jnp.ones((2, 1))}).total

    jitted = jax.jit(total, static_argnums=0)
    assert [float(jitted(make(), step)) for step in (0, 5, 20)] == [0.0, 1.0, 2.0]
    assert len(traces) == 1
