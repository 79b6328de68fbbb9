"""A linen model's own collections, sows and methods beside the capture: nothing doubled, nothing lost, nothing left."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import jaxreg
from jaxreg.linen import COLLECTION, Tap
from jaxreg.linen_pass import _KEY
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.linen_models import Holder, Sower, scan

KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def variables() -> Any:
    return Sower().init(KEY, X)


@covers("the model's own state", "linen")
@pytest.mark.parametrize(
    "mutable",
    [False, True, "batch_stats", ["batch_stats"], ("batch_stats", "intermediates"), nn.DenyList("params")],
    ids=str,
)
def test_mutable_collections_pass_through(variables: Any, mutable: Any) -> None:
    """The output and the state are those of the model's own apply, whatever is mutable."""
    variables = {name: tree for name, tree in variables.items() if name != "intermediates"}
    train = mutable is not False
    expected = Sower().apply(variables, X, train=train, mutable=mutable)
    output, penalties = l1_of("act").apply(Sower(), variables, X, train=train, mutable=mutable)
    jax.tree.map(np.testing.assert_array_equal, output, expected)
    close(penalties.total, total(output[0] if train else output))


@covers("the model's own `sow`", "linen")
def test_own_sow_is_selected_by_its_name(variables: Any) -> None:
    """What the model sows is an activation under the name it gives, whether or not the caller sees the collection."""
    _, state = Sower().apply(variables, X, mutable=["batch_stats", "intermediates"])
    expected = total(state["intermediates"]["hidden"][-1])
    for mutable in (["batch_stats"], ["batch_stats", "intermediates"]):
        (_, rest), penalties = l1_of("hidden").apply(Sower(), variables, X, mutable=mutable)
        close(penalties.total, expected)
        assert set(rest) == set(mutable)


@covers("state fed back", "linen")
def test_state_fed_back_does_not_double(variables: Any) -> None:
    """A state that still holds intermediates, or a collection of ours, adds nothing to the next pass."""
    reg = l1_of(("hidden", "act"))
    (_, state), first = reg.apply(Sower(), variables, X, mutable=["batch_stats", "intermediates"])
    fed = {**variables, "intermediates": state["intermediates"], COLLECTION: {"act": {f"{_KEY}0_0": jnp.ones(())}}}
    (_, state), second = reg.apply(Sower(), fed, X, mutable=["batch_stats", "intermediates"])
    assert first.total == second.total
    assert len(state["intermediates"]["hidden"]) == 1
    assert set(state) == {"batch_stats", "intermediates"}


@covers("the user's own capture", "linen")
def test_capture_intermediates_is_the_callers(variables: Any) -> None:
    """capture_intermediates=True gives what Flax gives, and counts nothing twice."""
    variables = {name: tree for name, tree in variables.items() if name != "intermediates"}
    keywords: Any = {"train": False, "capture_intermediates": True}
    expected = Sower().apply(variables, X, **keywords)
    for mutable in (False, ["intermediates"]):
        output, penalties = l1_of("**").apply(Sower(), variables, X, mutable=mutable, **keywords)
        jax.tree.map(np.testing.assert_array_equal, output, expected)
        assert set(penalties.layers["s"]) == {"norm", "dense", "act", "hidden"}
        close(penalties.layers["s"]["act"], total(expected[0]))


@covers("the model's own `sow` in a scan", "linen")
@pytest.mark.parametrize("pattern", ["inner.hidden", "inner.**", "**.hidden", "**", re.compile("inner.h.*")], ids=str)
def test_own_sow_under_scan_is_each_calls(pattern: Any) -> None:
    """What a scanned body sows counts per iteration: the axis that the scan adds is no sample axis."""

    class Body(nn.Module):
        @nn.compact
        def __call__(self, x: Any, _: Any) -> Any:
            x = nn.tanh(nn.Dense(4, name="dense")(x))
            self.sow("intermediates", "hidden", x)
            return x, None

    axes = {"params": 0, "intermediates": 0, COLLECTION: 0}
    scanned = scan(Body, variable_axes=axes, split_rngs={"params": True}, length=3)
    model = Holder(lambda name: lambda x: scanned(name=name)(x, None)[0])
    variables = {"params": model.init(KEY, X)["params"]}
    reg = jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.activations(pattern, exclude="inner"), name="s"))
    _, state = model.apply(variables, X, mutable=["intermediates"])
    found = reg.apply(model, variables, X)[1].layers["s"]
    close(found["inner.hidden"], total(state["intermediates"]["inner"]["hidden"][0]) / len(X))


def test_own_sow_that_reduces_counts_what_it_keeps() -> None:
    """A sow with a reduction of its own is worth what the model keeps in the end."""

    class Reducing(nn.Module):
        def __call__(self, x: Any) -> Any:
            for factor in (1.0, 2.0):
                self.sow("intermediates", "sum", factor * x, jnp.add, lambda: jnp.zeros(()))
            return x

    class Twice(nn.Module):
        def setup(self) -> None:
            self.inner = Reducing()

        def __call__(self, x: Any) -> Any:
            return self.inner(self.inner(x))

    close(l1_of("inner.sum").apply(Twice(), {}, X)[1].total, 6 * total(X))


def test_rngs_reach_the_model() -> None:
    """Dropout under rngs= is the very same draw as in the model's own apply."""

    class Dropping(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dropout(0.5, deterministic=False, name="drop")(x)

    rngs = {"dropout": KEY}
    y, penalties = l1_of("drop").apply(Dropping(), {}, X, rngs=rngs)
    np.testing.assert_array_equal(y, Dropping().apply({}, X, rngs=rngs))
    close(penalties.total, total(y))


@covers("low precision (autocast, bfloat16)", "linen")
def test_bfloat16_is_summed_in_float32() -> None:
    """A long bfloat16 activation is summed in float32: 3e4 ones are 3e4, which bfloat16 cannot reach."""
    x = jnp.ones((30_000, 1), jnp.bfloat16)
    found = l1_of("inner").apply(Holder(Tap), {}, x)[1].total
    assert found.dtype == jnp.float32
    assert found == 30_000
