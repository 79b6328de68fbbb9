"""Unmodified nnx models under nnx's transforms: every call counts, one trace serves many steps, nothing stays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxreg
from jaxreg.nnx import Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.nnx_models import Block, Stack, Two, gradients_match, snapshot, unrolled


@pytest.fixture
def model() -> Two:
    return Two(nnx.Rngs(0))


def test_jit_and_grad_trace_once(model: Two) -> None:
    """Many steps are one trace, with the value and gradient of the plain loss, and nothing is left on the model."""
    reg, before, traces = l1_of("second.act"), snapshot(model), []

    @nnx.jit
    def step(model: Two, x: Any) -> Any:
        traces.append(1)
        return nnx.value_and_grad(lambda m: reg.apply(m, x)[1].total)(model)

    for scale in (1.0, 2.0, 3.0):
        value, _ = step(model, scale * X)
        close(value, total(model(scale * X)))
    assert len(traces) == 1
    assert snapshot(model) == before
    gradients_match(model, lambda m: reg.apply(m, X)[1].total, lambda m: jnp.abs(m(X)).sum())


@covers("a jit inside the model (stale traces)", "nnx")
@covers("a changed mask under a jit inside", "nnx")
def test_jit_inside_the_model_is_not_stale() -> None:
    """A module-scope nnx.jit keeps its traces: those of other terms or masks are not served, equal ones are."""
    traces = []

    class Jitted(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.block = Block(rngs)

        def __call__(self, x: Any) -> Any:
            return run(self.block, x)

    @nnx.jit
    def run(block: Block, x: Any) -> Any:
        traces.append(1)
        return block(x)

    model = Jitted(nnx.Rngs(0))
    y = model(X)
    for strength in (1.0, 2.0):
        reg = jaxreg.Regularizer(jaxreg.L1(strength).on(jaxreg.activations("block.act", per="batch")))
        close(reg.apply(model, X)[1].total, strength * total(y))
        count = len(traces)
        close(reg.apply(model, X)[1].total, strength * total(y))
        assert len(traces) == count
    masked, mask = l1_of("block.act", mask="m"), np.ones(6)
    for row in range(2):
        mask[row] = 0
        close(masked.at(masks={"m": mask}).apply(model, X)[1].total, total(y[row + 1 :]))
    constant, count = masked.at(masks={"m": jnp.ones(6)}), len(traces)
    assert constant.apply(model, X)[1].total == constant.apply(model, X)[1].total
    assert len(traces) == count + 1
    np.testing.assert_array_equal(model(X), y)


@covers("checkpointing (`checkpoint`, `remat`)", "nnx")
def test_remat() -> None:
    """Under nnx.remat value and gradient are those of the plain model."""

    class Remat(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.block = Block(rngs)

        def __call__(self, x: Any) -> Any:
            return nnx.remat(lambda block, x: block(x))(self.block, x)

    reg = l1_of("block.act")
    gradients_match(Remat(nnx.Rngs(0)), lambda m: reg.apply(m, X)[1].total, lambda m: jnp.abs(m.block(X)).sum())


@covers("a scan over layers", "nnx")
@pytest.mark.parametrize("remat", [False, True], ids=["scan", "scan of remat"])
def test_scan_over_layers(remat: bool) -> None:
    """A scan over stacked layers, as it stands, counts every layer; a second pass over them counts again."""
    model = Stack(nnx.Rngs(0), remat)
    reg, before = l1_of(("blocks.act", "blocks")), snapshot(model)
    expected = sum(total(y) for y in unrolled(model, X))
    found = reg.apply(model, X)[1].layers["s"]
    close(found["blocks.act"], expected)
    close(found["blocks"], expected)
    assert snapshot(model) == before
    gradients_match(
        model,
        lambda m: reg.apply(m, X)[1].layers["s"]["blocks"],
        lambda m: sum(jnp.abs(y).sum() for y in unrolled(m, X)),
    )


def test_a_stack_that_runs_twice() -> None:
    """Layers that two scans run count in both."""

    class Twice(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.stack = Stack(rngs)

        def __call__(self, x: Any) -> Any:
            return self.stack(self.stack(x))

    model = Twice(nnx.Rngs(0))
    once = unrolled(model.stack, X)
    close(
        l1_of("stack.blocks.act").apply(model, X)[1].total,
        sum(total(y) for y in once) + sum(total(y) for y in unrolled(model.stack, once[-1])),
    )


@covers("a vmap over members", "nnx")
def test_vmap_over_members() -> None:
    """Members of an ensemble under nnx.vmap count each."""

    class Ensemble(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.members = Stack(rngs).blocks

        def __call__(self, x: Any) -> Any:
            return nnx.vmap(lambda block, x: block(x), in_axes=(0, None))(self.members, x)

    model = Ensemble(nnx.Rngs(0))
    close(l1_of("members.act").apply(model, X)[1].total, total(model(X)))


@covers("a transform that knows no modules", "nnx", "RuntimeError: the transforms that do")
@pytest.mark.parametrize("transform", [jax.checkpoint, jax.jit], ids=["checkpoint", "jit"])
def test_jaxs_own_transforms_inside_are_an_error(transform: Any) -> None:
    """jax.checkpoint over a closed-over module knows no modules: the error says which transforms do."""

    class Raw(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.block = Block(rngs)

        def __call__(self, x: Any) -> Any:
            return transform(lambda x: self.block(x))(x)

    model = Raw(nnx.Rngs(0))
    before = snapshot(model)
    with pytest.raises(RuntimeError, match=r"nnx\.remat.*jaxreg\.nnx\.Tap"):
        l1_of("block.act").apply(model, X)
    assert snapshot(model) == before
    close(l1_of("").apply(model, X)[1].total, total(model(X)))


@covers("a model that a trace closes over", "nnx")
def test_a_model_that_a_plain_jit_closes_over(model: Two) -> None:
    """A model outside of the trace is read, not written: closing over it is right, and leaves no tracer on it."""
    reg, before = l1_of("first.act"), snapshot(model)
    close(jax.jit(lambda x: reg.apply(model, x)[1].total)(X), total(model.first(X)))
    assert snapshot(model) == before
    close(reg.apply(model, X)[1].total, total(model.first(X)))


@covers("a branch (`cond`)", "nnx", "TypeError: `Tap` outside")
def test_cond_is_an_error_with_the_way_out() -> None:
    """A branch of nnx.cond cannot sow; what it returns can be named."""

    class Branching(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.block = Block(rngs)
            self.out = Tap()

        def __call__(self, x: Any) -> Any:
            return self.out(nnx.cond(x.sum() > -1e9, lambda m, x: m(x), lambda m, x: x, self.block, x))

    model = Branching(nnx.Rngs(0))
    close(l1_of("out").apply(model, X)[1].total, total(model(X)))
    with pytest.raises((TypeError, RuntimeError), match=r"jaxreg\.nnx\.Tap"):
        l1_of("block.act").apply(model, X)
