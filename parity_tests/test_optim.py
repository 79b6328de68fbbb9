"""Gradients of penalties added around the optimizer: the numbers of the loss way, in both packages."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import PACKAGES, package
from parity_tests.oracles import ORACLES

RNG = np.random.default_rng(31)
WEIGHTS = {"kernel": RNG.standard_normal((3, 4)), "bias": RNG.standard_normal(4)}
TASK = {"kernel": RNG.standard_normal((3, 4)), "bias": RNG.standard_normal(4)}
RATE = 0.5
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)

Terms = Callable[[ModuleType], list[Any]]
LAYOUT = ("in", "out")


def torch_steps(m: ModuleType, reg: Any, steps: int) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """The parameters after steps of gradient descent on a linear task, and what the terms came to at each."""
    import torch

    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in WEIGHTS.items():
                self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(value.copy())))

    model = Holder()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    told = []
    with m.add_penalty_gradients(optimizer, reg, model) as handle:
        for _ in range(steps):
            optimizer.zero_grad()
            torch.stack([(getattr(model, name) * torch.from_numpy(TASK[name])).sum() for name in TASK]).sum().backward()
            optimizer.step()
            told.append({name: value.item() for name, value in handle.penalties.terms.items()})
        assert handle.steps == steps
    return {name: getattr(model, name).detach().numpy() for name in WEIGHTS}, told


def jax_steps(m: ModuleType, reg: Any, steps: int) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """The same with optax, compiled; one trace however many steps."""
    import jax
    import optax

    with jax.enable_x64(True):
        optimizer = optax.chain(m.add_penalty_gradients(reg), optax.sgd(RATE))
        params = {name: jax.numpy.asarray(value) for name, value in WEIGHTS.items()}
        state: Any = optimizer.init(params)
        told, traces = [], []

        @jax.jit
        def step(params: Any, state: Any) -> Any:
            traces.append(1)
            task = jax.grad(lambda p: sum((p[name] * TASK[name]).sum() for name in TASK))(params)
            updates, state = optimizer.update(task, state, params)
            return optax.apply_updates(params, updates), state

        for _ in range(steps):
            params, state = step(params, state)
            told.append({name: float(value) for name, value in state[0].penalties.terms.items()})
        assert len(traces) == 1
        assert int(state[0].steps) == steps
        return {name: np.asarray(value) for name, value in params.items()}, told


RUN = {"torch": torch_steps, "jax": jax_steps}


def by_hand(penalties: list[Callable[[int], tuple[str, str, dict[str, Any], float]]], steps: int) -> Any:
    """Gradient descent in NumPy with the gradients of the oracles: a row is (parameter, oracle, arguments, factor)."""
    now, told = {name: value.copy() for name, value in WEIGHTS.items()}, []
    for step in range(steps):
        slopes = {name: value.copy() for name, value in TASK.items()}
        values = []
        for penalty in penalties:
            name, oracle, arguments, factor = penalty(step)
            x = now[name].T if now[name].ndim == 2 else now[name]
            due = ORACLES[oracle](x, ("out", "in")[: x.ndim], None, **arguments)
            slopes[name] += factor * (due.gradient.T if x.ndim == 2 else due.gradient)
            values.append(factor * due.value)
        told.append(values)
        now = {name: now[name] - RATE * slopes[name] for name in now}
    return now, told


CASES: dict[str, tuple[Terms, list[Callable[[int], tuple[str, str, dict[str, Any], float]]]]] = {
    "closed forms": (
        lambda m: [m.L1(0.3).on(m.params("kernel")), m.ElasticNet(0.1, 0.2).on(m.params("bias"))],
        [
            lambda step: ("kernel", "L1", {"strength": 0.3}, 1.0),
            lambda step: ("bias", "ElasticNet", {"l1": 0.1, "l2": 0.2}, 1.0),
        ],
    ),
    "by autograd": (
        lambda m: [m.GroupLasso(0.3).on(m.params("kernel", layout=LAYOUT)), m.L2Norm(0.2).on(m.params("bias"))],
        [
            lambda step: ("kernel", "GroupLasso", {"strength": 0.3}, 1.0),
            lambda step: ("bias", "L2Norm", {"strength": 0.2}, 1.0),
        ],
    ),
    "a sum and a multiple": (
        lambda m: [(m.L1(0.3) + 2.0 * m.L2(0.1)).on(m.params("kernel"))],
        [lambda step: ("kernel", "ElasticNet", {"l1": 0.3, "l2": 0.2}, 1.0)],
    ),
    "both on one parameter": (
        lambda m: [m.L2(0.1).on(m.params("kernel")), m.L2Norm(0.4).on(m.params("kernel"))],
        [
            lambda step: ("kernel", "L2", {"strength": 0.1}, 1.0),
            lambda step: ("kernel", "L2Norm", {"strength": 0.4}, 1.0),
        ],
    ),
    "a schedule": (
        lambda m: [m.L1(0.3).on(m.params("kernel"), schedule=m.schedules.linear_schedule(0.0, 1.0, 4))],
        [lambda step: ("kernel", "L1", {"strength": 0.3}, step / 4)],
    ),
}


@EVERY_FRAMEWORK
@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_the_loss_way(case: str, framework: str) -> None:
    """Parameters after five steps, and the values told at each, equal gradient descent by hand in float64."""
    m, (terms, penalties) = package(framework), CASES[case]
    reg = m.Regularizer(*terms(m))
    got, told = RUN[framework](m, reg, 5)
    due, values = by_hand(penalties, 5)
    for name, value in due.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose([[step[term.name] for term in reg.terms] for step in told], values, rtol=1e-12)


@EVERY_FRAMEWORK
def test_bound_weights_and_steps_are_kept(framework: str) -> None:
    """``reg.at(weights=..., step=...)`` multiplies the term, at the bound step whatever the count."""
    m = package(framework)
    schedule = m.schedules.linear_schedule(0.0, 1.0, 4)
    reg = m.Regularizer(m.L1(0.3).on(m.params("kernel"), name="l1", schedule=schedule))
    got, _ = RUN[framework](m, reg.at(weights={"l1": 2.0}, step=2), 3)
    due, _ = by_hand([lambda step: ("kernel", "L1", {"strength": 0.3}, 1.0)], 3)
    np.testing.assert_allclose(got["kernel"], due["kernel"], rtol=1e-13, atol=1e-14)


@EVERY_FRAMEWORK
def test_what_an_optimizer_cannot_see_is_an_error(framework: str) -> None:
    """Activation terms, and what is no regularizer, in one sentence for both packages."""
    m = package(framework)
    mixed = m.Regularizer(m.L1(0.1).on(m.params()), m.L1(0.1).on(m.activations("act"), name="codes"))
    with pytest.raises(
        ValueError, match=r"^add_penalty_gradients: terms must be on parameters; got 'codes'\. An optimizer"
    ):
        RUN[framework](m, mixed, 1)
    with pytest.raises(TypeError, match=r"^add_penalty_gradients: reg must be a Regularizer; got 'L1'\.$"):
        RUN[framework](m, m.L1(0.1), 1)
    with pytest.raises(LookupError, match="Nearest names: 'kernel'"):
        RUN[framework](m, m.Regularizer(m.L1(0.1).on(m.params("kernal"))), 1)


@EVERY_FRAMEWORK
def test_a_layout_that_does_not_fit_is_an_error(framework: str) -> None:
    """Also for a penalty whose gradient needs no axes, and in the words of the loss way."""
    m = package(framework)
    reg = m.Regularizer(m.L1(0.1).on(m.params("kernel", layout=("out", "in", "k0"))))
    sentence = r"^params: layout must be one that names the 2 axes of the array; got \('out', 'in', 'k0'\)\."
    with pytest.raises(ValueError, match=sentence):
        RUN[framework](m, reg, 1)
