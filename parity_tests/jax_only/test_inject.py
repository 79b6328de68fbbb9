"""``inject`` and ``Penalize`` in JAX: the identity, with a penalty's gradient, under every transform."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jaxreg
from jaxreg.inject import inject
from jaxreg.linen import COLLECTION
from jaxreg.linen import Penalize as LinenPenalize
from jaxreg.nnx import Penalize as NnxPenalize
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.linen_models import Holder
from parity_tests.jax_only.nnx_models import capture

PENALTY = jaxreg.ElasticNet(0.5, 0.25)
EXPECTED = 0.5 * jnp.sign(X) + 0.5 * X


def weighted(x: Any, **keywords: Any) -> Any:
    """A loss through an injection."""
    return (2.0 * inject(x, PENALTY, **keywords)).sum()


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.checkpoint], ids=["eager", "jit", "remat"])
def test_forward_is_the_identity_and_backward_adds(transform: Any) -> None:
    """The value is that without a penalty, the gradient has scale times the penalty's added."""
    value, gradient = jax.value_and_grad(transform(partial(weighted, scale=3.0)))(X)
    assert value == (2.0 * X).sum()
    np.testing.assert_allclose(gradient, 2.0 + 3.0 * EXPECTED, rtol=1e-6)


def test_vmap_and_scan() -> None:
    """Under vmap each member is penalised by itself, under scan each step adds."""
    np.testing.assert_allclose(jax.vmap(jax.grad(weighted))(X), 2.0 + EXPECTED, rtol=1e-6)

    def loop(x: Any) -> Any:
        return jax.lax.scan(lambda c, _: (inject(c, PENALTY), None), x, None, length=3)[0].sum()

    np.testing.assert_allclose(jax.jit(jax.grad(loop))(X), 1.0 + 3 * EXPECTED, rtol=1e-6)


def test_a_traced_scale_and_loss_scaling() -> None:
    """The scale may be traced; scaled with the loss in float16, the penalty's small gradient survives."""
    found = jax.jit(lambda x, s: jax.grad(weighted)(x, scale=s))(X, jnp.float32(3.0))
    np.testing.assert_allclose(found, 2.0 + 3.0 * EXPECTED, rtol=1e-6)
    x = jnp.ones(4, jnp.float16)
    gradient = jax.grad(lambda x: 0.0 * inject(x, jaxreg.L1(1e-9), scale=2.0**16).sum())(x)
    assert gradient.dtype == jnp.float16
    np.testing.assert_allclose(np.asarray(gradient, np.float64), 1e-9 * 2.0**16, rtol=1e-2)


def test_float64(float64_jax: Any) -> None:
    """In float64 a Python scale is not rounded to float32."""
    x = jnp.asarray(np.asarray(X), jnp.float64)
    gradient = jax.grad(lambda x: 0.0 * inject(x, jaxreg.L2(0.7), scale=0.1).sum())(x)
    np.testing.assert_allclose(gradient, 0.1 * 0.7 * 2 * x, rtol=1e-15)


def test_axes_and_mask() -> None:
    """Axes and mask are the penalty's."""
    groups = jaxreg.GroupLasso(1.0, groups="feature", size_weighted=False)
    found = jax.grad(lambda x: inject(x, groups, axes=("sample", "feature")).sum())(X)
    np.testing.assert_allclose(found, 1.0 + X / jnp.linalg.norm(X, axis=0), rtol=1e-5)
    mask = jnp.arange(6) < 2
    found = jax.jit(jax.grad(lambda x, m: weighted(x, where=m)))(X, mask)
    np.testing.assert_allclose(found, 2.0 + jnp.where(mask[:, None], EXPECTED, 0.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: inject(X, 0.1),  # pyright: ignore[reportArgumentType]
            TypeError,
            "inject: penalty must be a penalty, such as L1(1e-4); got 0.1.",
        ),
        (
            lambda: inject(jnp.ones(3, int), PENALTY),
            TypeError,
            "inject: x must be a dense floating array; got 'int32'.",
        ),
        (
            lambda: inject(X, PENALTY, scale=-1.0),
            ValueError,
            "inject: scale must be a finite number >= 0; got -1.0.",
        ),
        (
            lambda: inject(X, PENALTY, scale=jnp.ones(2)),
            ValueError,
            "inject: scale must be a number or a scalar array; got (2,).",
        ),
        (
            lambda: LinenPenalize("L1"),  # pyright: ignore[reportArgumentType]
            TypeError,
            "Penalize: penalty must be a penalty, such as L1(1e-4); got 'L1'.",
        ),
        (
            lambda: NnxPenalize(PENALTY, scale=-1.0),
            ValueError,
            "Penalize: scale must be a finite number >= 0; got -1.0.",
        ),
    ],
    ids=["penalty", "x", "scale", "scale shape", "linen", "nnx"],
)
def test_wrong_arguments(call: Any, kind: type[Exception], message: str) -> None:
    """What is no penalty, no floating array or no factor is refused in the forward pass."""
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_what_does_not_fit_is_said_in_forward() -> None:
    """Groups that the array does not have are an error where inject is called, not in the backward pass."""
    with pytest.raises(ValueError, match="GroupLasso: groups"):
        inject(X, jaxreg.GroupLasso(1.0, groups="kernel"))


class Scanned(nn.Module):
    """A Penalize in the body of a scan under remat."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        class Body(nn.Module):
            @nn.compact
            def __call__(self, x: Any, _: Any) -> Any:
                return LinenPenalize(PENALTY, 2.0, name="penalize")(x), None

        return nn.scan(nn.remat(Body), length=3)(name="body")(x, None)[0]


@covers("`inject` and `Penalize`", "linen")
def test_linen_module() -> None:
    """In linen: the gradient, also in a scanned body under remat, the value in intermediates, and a name to select."""
    model: Any = Holder(partial(LinenPenalize, PENALTY))
    scanned: Any = Scanned()
    y, state = model.apply({}, X, mutable=["intermediates"])
    np.testing.assert_array_equal(y, X)
    close(state["intermediates"]["inner"]["penalty"][0], PENALTY(X))
    np.testing.assert_allclose(jax.grad(lambda x: model.apply({}, x).sum())(X), 1.0 + EXPECTED, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: scanned.apply({}, x).sum())(X), 1.0 + 6.0 * EXPECTED, rtol=1e-6)
    close(l1_of("inner").apply(model, {}, X)[1].total, total(X))
    assert COLLECTION not in state


@pytest.mark.parametrize("form", ["jit", "vmap"])
def test_linen_module_lifted(form: str) -> None:
    """Under nn.jit as it is; under nn.vmap every member adds, one by one."""
    lifted: Any = nn.jit(LinenPenalize) if form == "jit" else nn.vmap(LinenPenalize, variable_axes={"intermediates": 0})
    model: Any = Holder(partial(lifted, PENALTY))
    np.testing.assert_allclose(jax.grad(lambda x: model.apply({}, x).sum())(X), 1.0 + EXPECTED, rtol=1e-6)
    np.testing.assert_array_equal(model.apply({}, X, mutable=["intermediates"])[0], X)


@pytest.mark.parametrize("form", ["scan", "vmap"])
def test_nnx_module_in_a_loop(form: str) -> None:
    """Under nnx.scan every turn adds, under nnx.vmap every member."""

    def looped(x: Any) -> Any:
        module = NnxPenalize(PENALTY)
        if form == "vmap":
            return nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(module, x).sum()
        body = nnx.scan(lambda m, x: m(x), length=3, in_axes=(None, nnx.Carry), out_axes=nnx.Carry)
        return body(module, x).sum()

    turns = 3 if form == "scan" else 1
    np.testing.assert_allclose(jax.grad(looped)(X), 1.0 + turns * EXPECTED, rtol=1e-6)


@covers("`inject` and `Penalize`", "nnx")
def test_nnx_module() -> None:
    """In nnx: the gradient, also under nnx.jit and nnx.remat, the value under nnx.capture, and a name to select."""

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.penalize = NnxPenalize(PENALTY)

        def __call__(self, x: Any) -> Any:
            return self.penalize(x)

    model = Model()
    for transform in (lambda f: f, nnx.jit, nnx.remat):
        run = transform(lambda m, x: m(x))
        np.testing.assert_allclose(jax.grad(lambda x, run=run: run(Model(), x).sum())(X), 1.0 + EXPECTED, rtol=1e-6)
    _, state = capture(lambda m: m(X), nnx.Intermediate)(model)
    close(state["penalize"]["penalty"].get_value()[0], PENALTY(X))
    close(l1_of("penalize").apply(model, X)[1].total, total(X))
    assert not jax.tree.leaves(nnx.state(model))
