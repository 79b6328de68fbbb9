"""Many steps: one trace, and nothing that grows."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import jaxreg
from parity_tests.capture_table import covers
from parity_tests.jax_only import linen_models, nnx_models
from parity_tests.jax_only.common import X

STEPS = {"pr": 2_000, "full": 10_000}
REG = jaxreg.Regularizer(
    jaxreg.L1(1e-3).on(jaxreg.activations("act", mask="m"), name="s", schedule=lambda step: 1.0 / (1.0 + step)),
    jaxreg.GroupLasso(1e-3).on(jaxreg.params(role="kernel"), name="g"),
)
TRACES: list[int] = []
OPTIMIZER = optax.adam(1e-3)


def resident() -> int:
    """Bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def linen() -> Callable[[int], None]:
    """A training step of a linen model."""
    model = linen_models.Block()
    variables = model.init(jax.random.key(1), X)
    held = [variables, OPTIMIZER.init(variables)]

    @jax.jit
    def update(variables: Any, state: Any, bound: Any) -> Any:
        TRACES.append(1)
        gradient = jax.grad(lambda v: bound.apply(model, v, X)[1].total)(variables)
        updates, state = OPTIMIZER.update(gradient, state, variables)
        return optax.apply_updates(variables, updates), state

    def step(i: int) -> None:
        held[:] = update(*held, REG.at(step=jnp.float32(i), masks={"m": jnp.arange(6) > i % 5}))

    return step


def nnx_world() -> Callable[[int], None]:
    """A training step of an nnx model."""
    model = nnx_models.Block(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)

    @nnx.jit
    def update(model: Any, optimizer: Any, bound: Any) -> None:
        TRACES.append(1)
        optimizer.update(model, nnx.grad(lambda m: bound.apply(m, X)[1].total)(model))

    def step(i: int) -> None:
        update(model, optimizer, REG.at(step=jnp.float32(i), masks={"m": jnp.arange(6) > i % 5}))

    return step


@covers("2,000 steps", "linen")
@covers("2,000 steps", "nnx")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to read the memory of a process from")
@pytest.mark.parametrize("world", [linen, nnx_world], ids=["linen", "nnx"])
def test_nothing_grows(world: Any, request: pytest.FixtureRequest) -> None:
    """Over thousands of jitted steps: one trace, no array more, and memory that stays within 1 MiB after warm-up."""
    TRACES.clear()
    step, steps = world(), STEPS[str(request.config.getoption("--tier"))]
    for i in range(steps // 5):
        step(i)
    gc.collect()
    arrays, memory = len(jax.live_arrays()), resident()
    for i in range(steps):
        step(i)
    gc.collect()
    assert len(TRACES) == 1
    assert len(jax.live_arrays()) == arrays
    assert resident() - memory <= 2**20


@pytest.mark.parametrize("world", ["linen", "nnx"])
def test_eager_passes_leave_no_array(world: str) -> None:
    """Passes without jit leave no array behind either, with a new mask each."""
    block = linen_models.Block()
    variables = block.init(jax.random.key(1), X)
    inputs = (block, variables, X) if world == "linen" else (nnx_models.Block(nnx.Rngs(0)), X)

    def passes(count: int) -> int:
        for i in range(count):
            REG.at(step=i, masks={"m": jnp.arange(6) > i % 5}).apply(*inputs)
        gc.collect()
        return len(jax.live_arrays())

    assert passes(3) == passes(30)
