"""An nnx model's own state, sows and classes beside the capture: nothing doubled, nothing lost, nothing left."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxreg
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.nnx_models import Block, capture, snapshot


class Sower(nnx.Module):
    """Sows a value of its own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = self.dense(x)
        self.sow(nnx.Intermediate, "hidden", x)
        return nnx.relu(x)


class Twice(nnx.Module):
    """Calls a sower twice."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = Sower(rngs)

    def __call__(self, x: Any) -> Any:
        return self.inner(self.inner(x))


@covers("the user's own capture", "nnx")
def test_a_capture_of_the_user_around_ours_is_his() -> None:
    """nnx.capture around apply returns what it returns around the model, and the sown value is selected by name."""
    model, reg = Twice(nnx.Rngs(0)), l1_of(("inner", "inner.hidden"))
    plain_y, plain = capture(lambda m: m(X), nnx.Intermediate)(model)
    (y, penalties), state = capture(lambda m: reg.apply(m, X), nnx.Intermediate)(model)
    np.testing.assert_array_equal(y, plain_y)
    jax.tree.map(np.testing.assert_array_equal, state, plain)
    hidden = plain["inner"]["hidden"].get_value()
    close(penalties.layers["s"]["inner.hidden"], sum(total(h) for h in hidden))
    close(penalties.layers["s"]["inner"], sum(total(nnx.relu(h)) for h in hidden))


def test_a_capture_inside_the_model_is_its_own() -> None:
    """A model that captures what its parts sow goes on doing so."""

    class Capturing(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.inner = Sower(rngs)

        def __call__(self, x: Any) -> Any:
            _, state = capture(lambda m: m(x), nnx.Intermediate)(self.inner)
            return state["hidden"].get_value()[0]

    model = Capturing(nnx.Rngs(0))
    found = l1_of(("", "inner.hidden")).apply(model, X)[1].layers["s"]
    close(found[""], total(model(X)))
    close(found["inner.hidden"], total(model(X)))


@covers("the model's own `sow`", "nnx")
@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
def test_a_sow_outside_of_any_capture_goes_where_it_went() -> None:
    """nnx's older sow, which keeps the value on the module, keeps it there, and its status in the graph."""
    model, plain = Sower(nnx.Rngs(0)), Sower(nnx.Rngs(0))
    plain(X)
    close(l1_of("hidden").apply(model, X)[1].total, total(plain.dense(X)))
    assert snapshot(model) == snapshot(plain)
    jax.tree.map(np.testing.assert_array_equal, nnx.pop(model, nnx.Intermediate), nnx.pop(plain, nnx.Intermediate))


@covers("an exception in forward", "nnx")
def test_an_exception_restores_everything() -> None:
    """After a model that raises, classes, attributes and graph are what they were, and the next pass to the bit."""

    class Raising(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.block = Block(rngs)
            self.fail = False

        def __call__(self, x: Any) -> Any:
            x = self.block(x)
            if self.fail:
                raise ArithmeticError("from the model")
            return x

    model, reg = Raising(nnx.Rngs(0)), l1_of(("block.act", ""))
    before, value = snapshot(model), reg.apply(model, X)[1].total
    model.fail = True
    for run in (reg.apply, nnx.jit(lambda m, x: reg.apply(m, x)), nnx.remat(lambda m, x: reg.apply(m, x))):
        with pytest.raises(ArithmeticError, match="from the model"):
            run(model, X)
    model.fail = False
    assert snapshot(model) == before
    assert reg.apply(model, X)[1].total == value


class Normed(nnx.Module):
    """BatchNorm and Dropout."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.drop(self.norm(x))


@covers("the model's own state", "nnx")
@covers("evaluation between steps", "nnx")
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_the_models_own_state_moves_as_ever(jit: bool) -> None:
    """Running statistics and random streams end where a plain call leaves them; eval mode changes nothing."""
    model, plain = Normed(nnx.Rngs(0)), Normed(nnx.Rngs(0))
    reg = l1_of("*")

    def run(m: Any, x: Any) -> Any:
        return reg.apply(m, x)

    y, penalties = (nnx.jit(run) if jit else run)(model, X)
    expected = plain(X)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    close(penalties.layers["s"]["drop"], total(expected))
    for got, wanted in zip(jax.tree.leaves(nnx.state(model)), jax.tree.leaves(nnx.state(plain)), strict=True):
        got, wanted = (
            jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a for a in (got, wanted)
        )
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    model.eval()
    before = [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(model, nnx.BatchStat))]
    close(reg.apply(model, X)[1].layers["s"]["drop"], total(model(X)))
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(nnx.state(model, nnx.BatchStat)), before)


class Special(nnx.Param):
    """A kind of parameter."""


@covers("a tied parameter", "nnx")
@covers("a frozen parameter", "nnx")
def test_parameters_special_frozen_and_tied() -> None:
    """Subclasses of Param are parameters; a tied one counts once; a frozen one counts in value, without gradient."""

    class Tied(nnx.Module):
        def __init__(self) -> None:
            self.embed = Special(jnp.full((2, 2), 2.0))
            self.head = self.embed
            self.frozen = nnx.Param(jnp.ones(3))
            self.count = nnx.BatchStat(jnp.ones(3))

        def __call__(self, x: Any) -> Any:
            return x

    model = Tied()
    reg = jaxreg.Regularizer(jaxreg.L2(1.0).on(jaxreg.params(), name="p"))
    penalties = reg.apply(model, X)[1]
    assert {name: float(value) for name, value in penalties.layers["p"].items()} == {"embed": 16.0, "frozen": 3.0}
    only = nnx.grad(lambda m: reg.apply(m, X)[1].total, argnums=nnx.DiffState(0, Special))(model)
    np.testing.assert_array_equal(only["embed"].get_value(), jnp.full((2, 2), 4.0))
    assert "frozen" not in only
    head = jaxreg.Regularizer(jaxreg.L2(1.0).on(jaxreg.params("head"), name="p"))
    assert float(head.apply(model, X)[1].layers["p"]["head"]) == 16.0
