"""What an optimizer calls weight decay, against the penalty that leads to the same weights, or that cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity_tests.backends import package
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import DECAY, GIVEN
from parity_tests.recipes.worlds import term

STEPS = 5
# A step rounds each weight a few times, and the next steps carry that on: 1e-13 leaves room for 900 roundings a step.
TOLERANCE = 1e-13 * STEPS


def trained_torch(optimizer: str, penalised: bool, **options: Any) -> np.ndarray:
    """All weights of a linear layer after some steps on a quadratic loss, with the decay or with the penalty."""
    module = package("torch")
    import torch

    x = arrays()
    model = torch.nn.Linear(6, 4).double()
    model.weight.data, model.bias.data = torch.tensor(x["kernel"]), torch.tensor(x["kernel"][:, 0])
    decay = {} if penalised else {"weight_decay": GIVEN["λ"]}
    steps = getattr(torch.optim, optimizer)(model.parameters(), lr=0.05, **options, **decay)
    tape = module.Regularizer(term(module, DECAY, GIVEN)).attach(model)
    for _ in range(STEPS):
        steps.zero_grad()
        loss = (model(torch.tensor(x["tall kernel"].T)) ** 2).sum() / 50
        (loss + tape.penalty() if penalised else loss).backward()
        steps.step()
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


def trained_optax(decayed: str, penalised: bool) -> np.ndarray:
    """The same in Flax: the decay before or after Adam, or before SGD."""
    module = package("jax")
    import jax
    import jax.numpy as jnp
    import optax
    from flax import linen as nn

    with jax.enable_x64(True):
        x = arrays()
        model, inputs = nn.Dense(4, param_dtype=jnp.float64), jnp.asarray(x["tall kernel"].T)
        variables = {"params": {"kernel": jnp.asarray(x["kernel"].T), "bias": jnp.asarray(x["kernel"][:, 0])}}
        reg = module.Regularizer(term(module, DECAY, GIVEN))
        decay = optax.identity() if penalised else optax.add_decayed_weights(GIVEN["λ"])
        adam, rate = optax.scale_by_adam(), optax.scale(-0.05)
        order = {"sgd": (decay, rate), "adam": (decay, adam, rate), "adamw": (adam, decay, rate)}[decayed]
        steps = optax.chain(*order)
        state = steps.init(variables)

        def loss(given: Any) -> Any:
            output, penalties = reg.apply(model, given, inputs)
            return (output**2).sum() / 50 + (penalties.total if penalised else 0.0)

        @jax.jit
        def step(given: Any, state: Any) -> tuple[Any, Any]:
            updates, state = steps.update(jax.grad(loss)(given), state, given)
            return optax.apply_updates(given, updates), state

        for _ in range(STEPS):
            variables, state = step(variables, state)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(variables)])


def far(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the largest weight."""
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [("SGD", {}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("Adam", {}), ("RMSprop", {})],
    ids=["SGD", "SGD with momentum", "Adam", "RMSprop"],
)
def test_weight_decay_of_torch_is_half_a_penalty(optimizer: str, options: dict[str, Any]) -> None:
    """``weight_decay=λ`` and ``L2(λ / 2)`` on every parameter lead to the same weights; without either, elsewhere."""
    decayed, penalised = (trained_torch(optimizer, which, **options) for which in (False, True))
    assert far(penalised, decayed) <= TOLERANCE


def test_adamw_of_torch_is_no_penalty() -> None:
    """The decoupled decay of AdamW leads elsewhere than the penalty: it does not pass through Adam's scaling."""
    assert far(trained_torch("AdamW", True, weight_decay=0.0), trained_torch("AdamW", False)) > 1e-3


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_decayed_weights_of_optax_are_half_a_penalty(optimizer: str) -> None:
    """``add_decayed_weights(λ)`` before the optimizer and ``L2(λ / 2)`` on every parameter lead to the same weights."""
    assert far(trained_optax(optimizer, True), trained_optax(optimizer, False)) <= TOLERANCE


def test_adamw_of_optax_is_no_penalty() -> None:
    """After Adam, as in ``optax.adamw``, the decay is decoupled and leads elsewhere than the penalty."""
    assert far(trained_optax("adamw", True), trained_optax("adamw", False)) > 1e-3
