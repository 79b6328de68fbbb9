"""Outer jax transforms over apply, in both worlds: one trace for many steps, run-time values that may be traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxreg
from parity_tests.capture_table import covers
from parity_tests.jax_only import linen_models, nnx_models
from parity_tests.jax_only.common import X, close, l1_of, total

Apply = Callable[[Any, Any, Any], Any]


def linen() -> tuple[Any, Apply, Apply]:
    """Parameters, a function (regularizer, parameters, x) -> (output, penalties), and the plain model."""
    model = linen_models.Block()
    return (
        model.init(jax.random.key(1), X),
        lambda reg, v, x: reg.apply(model, v, x),
        lambda _, v, x: model.apply(v, x),
    )


def nnx_world() -> tuple[Any, Apply, Apply]:
    """The same of an nnx model, split."""
    graph, state = nnx.split(nnx_models.Block(nnx.Rngs(0)))
    return (
        state,
        lambda reg, v, x: reg.apply(nnx.merge(graph, v), x),
        lambda _, v, x: nnx.merge(graph, v)(x),
    )


@pytest.fixture(params=[linen, nnx_world], ids=["linen", "nnx"])
def world(request: pytest.FixtureRequest) -> Any:
    return request.param()


def half(step: Any) -> Any:
    """A schedule."""
    return 0.5**step


@covers("compiled once, whatever the step and weights", "linen")
@covers("compiled once, whatever the step and weights", "nnx")
def test_one_trace_with_traced_step_weights_and_masks(world: Any) -> None:
    """A bound regularizer is a pytree: new steps, weights and masks are new values, not new traces."""
    variables, apply, plain = world
    act = jaxreg.activations("act", per="batch", mask="m")
    reg, traces = jaxreg.Regularizer(jaxreg.L1(1.0).on(act, name="s", schedule=half)), []

    @jax.jit
    def value(variables: Any, x: Any, bound: Any) -> Any:
        traces.append(1)
        return apply(bound, variables, x)[1].total

    y = plain(None, variables, X)
    for i in range(4):
        mask = jnp.arange(6) > i
        found = value(variables, X, reg.at(step=jnp.float32(i), weights={"s": jnp.float32(i + 1)}, masks={"m": mask}))
        close(found, total(y[i + 1 :]) * (i + 1) * 0.5**i)
    assert len(traces) == 1
    with pytest.raises(ValueError, match=r"at\(step="):
        apply(reg.at(masks={"m": jnp.ones(6)}), variables, X)


def test_a_regularizer_is_a_static_argument(world: Any) -> None:
    """Passed through jit as it is, an equal regularizer is no new trace and another one is."""
    variables, apply, plain = world
    value, traces = l1_of("act"), []

    @jax.jit
    def run(reg: Any, variables: Any) -> Any:
        traces.append(1)
        return apply(reg, variables, X)[1].total

    expected = total(plain(None, variables, X))
    close(run(value, variables), expected)
    close(run(l1_of("act"), variables), expected)
    assert len(traces) == 1
    close(run(l1_of("dense"), variables), total(apply(l1_of("dense"), variables, X)[1].total))
    assert len(traces) == 2


@covers("a sweep over strengths (`vmap`)", "linen")
@covers("a sweep over strengths (`vmap`)", "nnx")
def test_vmap_over_weights(world: Any) -> None:
    """A sweep over strengths is one vmap over at(weights=...), with its gradients."""
    variables, apply, plain = world
    reg, weights = l1_of("act"), jnp.array([0.0, 1.0, 2.5])
    expected = total(plain(None, variables, X))
    close(jax.vmap(lambda w: apply(reg.at(weights={"s": w}), variables, X)[1].total)(weights), weights * expected)
    bound = reg.at(weights={"s": weights})
    close(jax.vmap(lambda b: apply(b, variables, X)[1].total)(bound), weights * expected)
    gradients = jax.vmap(jax.grad(lambda v, w: apply(reg.at(weights={"s": w}), v, X)[1].total), (None, 0))(
        variables, weights
    )
    for leaf in jax.tree.leaves(gradients):
        np.testing.assert_allclose(leaf[2], 2.5 * leaf[1], rtol=1e-5)
        assert not np.asarray(leaf[0]).any()


@covers("a checkpoint around the pass", "linen")
@covers("a checkpoint around the pass", "nnx")
def test_checkpoint_around_apply(world: Any) -> None:
    """jax.checkpoint around the pass changes neither value nor gradient."""
    variables, apply, _ = world
    reg = l1_of("act")

    def loss(variables: Any) -> Any:
        y, penalties = apply(reg, variables, X)
        return (y**2).sum() + penalties.total

    (a, da), (b, db) = jax.value_and_grad(loss)(variables), jax.value_and_grad(jax.checkpoint(loss))(variables)
    close(a, b)
    jax.tree.map(lambda g, h: np.testing.assert_allclose(g, h, rtol=1e-6), da, db)


@covers("functional transforms", "linen")
@covers("functional transforms", "nnx")
def test_vmap_over_models(world: Any) -> None:
    """A vmap over parameters penalises each model by itself."""
    variables, apply, plain = world
    both = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), variables)
    found = jax.vmap(lambda v: apply(l1_of("act"), v, X)[1].total)(both)
    close(found, [total(plain(None, jax.tree.map(lambda a, i=i: a[i], both), X)) for i in range(2)])


@covers("low precision (autocast, bfloat16)", "nnx")
def test_bfloat16_models_are_summed_in_float32(world: Any) -> None:
    """Narrow activations are accumulated and returned in float32, and their gradients come back narrow."""
    variables, apply, plain = world
    narrow, x = jax.tree.map(lambda a: a.astype(jnp.bfloat16), variables), X.astype(jnp.bfloat16)
    if plain(None, narrow, x).dtype != jnp.bfloat16:
        pytest.skip("the model promotes its inputs")
    value, gradient = jax.value_and_grad(lambda v: apply(l1_of("act"), v, x)[1].total)(narrow)
    assert value.dtype == jnp.float32
    close(value, total(plain(None, narrow, x)))
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(jnp.bfloat16)}


def test_float64_stays_float64(world: Any, float64_jax: Any) -> None:
    """Under x64 the penalty of a float64 model is float64, that of a float32 activation float32."""
    variables, apply, plain = world
    x = jnp.asarray(np.asarray(X), jnp.float64)
    wide = jax.tree.map(lambda a: a.astype(jnp.float64), variables)
    value = apply(l1_of("act"), wide, x)[1].total
    assert value.dtype == jnp.float64
    np.testing.assert_allclose(float(value), total(plain(None, wide, x)), rtol=1e-14)
    assert apply(l1_of("act"), variables, X)[1].total.dtype == jnp.float32
