"""Unmodified linen models under lifted transforms: every call counts, and nothing is lost without a word."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import jaxreg
from jaxreg.linen import COLLECTION, Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, same_gradients, total
from parity_tests.jax_only.linen_models import Block, Holder, Stack, Step, unrolled, vmap

KEY = jax.random.key(1)


class DecoratedRemat(nn.Module):
    """A block whose method is decorated."""

    @nn.remat
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return Tap(name="act")(nn.relu(nn.Dense(4, name="dense")(x)))


@covers("checkpointing (`checkpoint`, `remat`)", "linen")
@pytest.mark.parametrize("make", [nn.remat(Block), DecoratedRemat], ids=["class", "method"])
@pytest.mark.parametrize("pattern", ["inner", "inner.act"])
def test_remat_counts_once(make: Any, pattern: str) -> None:
    """Under nn.remat value and gradient are those of the plain model."""
    model, plain = Holder(make), Holder(Block)
    variables = model.init(KEY, X)
    reg = l1_of(pattern)
    same_gradients(
        lambda v: reg.apply(model, v, X)[1].total,
        lambda v: jnp.abs(plain.apply(v, X)).sum(),  # pyright: ignore[reportArgumentType]
        variables,
    )


@covers("a scan over layers", "linen")
@pytest.mark.parametrize("body", [Step, nn.remat(Step)], ids=["scan", "scan of remat"])
def test_scan_sums_over_its_length(body: Any) -> None:
    """A scan that declares the collection counts every iteration, also under jit and remat, with the right gradient."""
    model = Stack({COLLECTION: 0}, None, body)
    variables = model.init(KEY, X)
    reg = l1_of("steps.block.act")

    def plain(variables: Any) -> Any:
        return sum(jnp.abs(y).sum() for y in unrolled(variables, X))

    same_gradients(lambda v: reg.apply(model, v, X)[1].total, plain, variables)
    close(jax.jit(lambda v: reg.apply(model, v, X)[1].total)(variables), plain(variables))


def test_scan_counts_the_body_itself() -> None:
    """The body of a scan is called once per iteration, not once for all."""
    model = Stack({COLLECTION: 0})
    variables = model.init(KEY, X)
    found = l1_of("steps", index=0).apply(model, variables, X)[1].total
    close(found, sum(total(y) for y in unrolled(variables, X)))


@covers("a scan that drops the captures", "linen", "RuntimeError: the line to add")
def test_undeclared_scan_prints_the_line_to_add() -> None:
    """A scan that drops the collection is an error with the path and the line to add; what is outside of it works."""
    model = Stack({})
    variables = model.init(KEY, X)
    with pytest.raises(RuntimeError) as caught:
        l1_of("steps.block.act").apply(model, variables, X)
    assert str(caught.value) == (
        "activations: the collection must be delivered for 'steps.block.act'; got 'nothing'. The lifted transform "
        "around 'steps.block.act' drops the collection: add jaxreg.linen.COLLECTION to it, as in "
        "nn.scan(..., variable_axes={jaxreg.linen.COLLECTION: 0})."
    )
    close(l1_of("").apply(model, variables, X)[1].total, total(unrolled(variables, X)[-1]))
    assert jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.params(role="kernel"))).apply(model, variables, X)[1].total > 0


@covers("a scan that keeps them fixed", "linen", "RuntimeError: declare `variable_axes`")
@pytest.mark.parametrize("keywords", [{"variable_carry": COLLECTION}, {"variable_broadcast": COLLECTION}])
def test_a_scan_that_keeps_the_collection_fixed_is_an_error(keywords: Any) -> None:
    """As carry or broadcast the collection cannot grow: the error names the path and the way out."""
    model = Stack({}, keywords)
    variables = model.init(KEY, X)
    with pytest.raises(RuntimeError, match=r"steps\.block\.act.*variable_axes=\{jaxreg\.linen\.COLLECTION: 0\}"):
        l1_of("steps.block.act").apply(model, variables, X)


@pytest.mark.parametrize("keywords", [{"variable_carry": COLLECTION}, {"variable_broadcast": COLLECTION}])
def test_a_fixed_collection_is_no_error_where_nothing_in_it_is_selected(keywords: Any) -> None:
    """Only what is selected sows into a collection that cannot grow."""
    model = Stack({}, keywords)
    variables = model.init(KEY, X)
    close(l1_of("").apply(model, variables, X)[1].total, total(unrolled(variables, X)[-1]))


@covers("a vmap over members", "linen")
def test_vmap_sums_over_its_axis() -> None:
    """A vmap that declares the collection counts every member."""
    members = vmap(
        Block, variable_axes={"params": 0, COLLECTION: 0}, split_rngs={"params": True}, in_axes=None, axis_size=3
    )
    model = Holder(members)
    variables = model.init(KEY, X)
    y = model.apply(variables, X)
    close(l1_of("inner.act").apply(model, variables, X)[1].total, total(y))


def test_undeclared_vmap_is_an_error() -> None:
    """A vmap that drops the collection is the same error as a scan that does."""
    model = Holder(vmap(Block, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=None, axis_size=3))
    with pytest.raises(RuntimeError, match=r"delivered for 'inner\.act'"):
        l1_of("inner.act").apply(model, model.init(KEY, X), X)


class Branches(nn.Module):
    """A block in one branch of nn.cond, and a dense layer before it."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x, block = nn.Dense(4, name="before")(x), Block(name="block")
        if self.is_initializing():
            return block(x)
        return Tap(name="out")(nn.cond(x.sum() > -1e9, lambda m, x: m(x), lambda m, x: x, block, x))


@covers("a branch (`cond`)", "linen", "RuntimeError: `Tap` outside")
def test_cond_is_an_error_only_where_it_holds_what_is_selected() -> None:
    """A branch cannot grow a collection: outside all is right, inside the error names the path and the way out."""
    model = Branches()
    variables = model.init(KEY, X)
    close(l1_of("out").apply(model, variables, X)[1].total, total(model.apply(variables, X)))
    both = jaxreg.Regularizer(jaxreg.GroupLasso(1.0).on(jaxreg.params(role="kernel")))
    assert set(both.apply(model, variables, X)[1].layers["GroupLasso"]) == {"before.kernel", "block.dense.kernel"}
    with pytest.raises(RuntimeError, match=r"block\.act.*nn\.cond.*jaxreg\.linen\.Tap"):
        l1_of("block.act").apply(model, variables, X)


class Wrong(nn.Module):
    """A model with an error of its own in its structure."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return jax.lax.cond(x.sum() > 0, lambda: (x, x), lambda: x)


def test_an_error_of_the_model_stays_its_own() -> None:
    """A structural TypeError that is not the capture's doing is not renamed."""
    with pytest.raises(TypeError, match="pytree structure"):
        l1_of("act").apply(Wrong(), {}, X)


@covers("a recurrent module", "linen")
def test_rnn_is_selected_whole_and_its_cell_where_declared() -> None:
    """The outputs of an nn.RNN need nothing; those of its cell, its primary ones, are the same once declared."""
    x = jax.random.normal(KEY, (2, 5, 3))
    cell = nn.OptimizedLSTMCell(4)
    plain, declared = nn.RNN(cell), nn.RNN(cell, variable_axes={COLLECTION: 0})
    variables = plain.init(KEY, x)
    expected = total(plain.apply(variables, x))
    close(l1_of("").apply(plain, variables, x)[1].total, expected)
    close(l1_of("cell").apply(declared, variables, x)[1].total, expected)
    with pytest.raises(RuntimeError, match="delivered for 'cell'"):
        l1_of("cell").apply(plain, variables, x)


@covers("weights that a module outputs", "linen", "LookupError")
def test_inner_weights_of_a_cell_are_no_activations() -> None:
    """OptimizedLSTMCell's DenseParams return weights; a pattern over them finds nothing to penalise."""
    x = jax.random.normal(KEY, (2, 5, 3))
    model = nn.RNN(nn.OptimizedLSTMCell(4), variable_axes={COLLECTION: 0})
    variables = model.init(KEY, x)
    with pytest.raises(LookupError):
        l1_of(type="DenseParams").apply(model, variables, x)
    with pytest.raises(LookupError, match=r"jaxreg\.linen\.Tap"):
        l1_of("cell.*").apply(model, variables, x)


@pytest.mark.parametrize(
    "lifted", [nn.jit, nn.remat, partial(nn.map_variables, trans_in_fn=lambda v: v)], ids=["jit", "remat", "map"]
)
def test_transforms_of_functions(lifted: Any) -> None:
    """A transform of a function over modules delivers as one of a class does."""

    class Model(nn.Module):
        def setup(self) -> None:
            self.block = Block()

        def __call__(self, x: Any) -> Any:
            transform = partial(lifted, mapped_collections="params") if isinstance(lifted, partial) else lifted
            return transform(lambda m, x: m.block(x))(self, x)

    plain = Holder(Block).init(KEY, X)["params"]["inner"]
    variables = {"params": {"block": plain}}
    close(l1_of("block.act").apply(Model(), variables, X)[1].total, total(Model().apply(variables, X)))
