"""Nnx modules inside and outside of the loops of one model: every turn and every call counts, or it is an error."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest
from flax import nnx

from jaxreg import nnx_scalars
from jaxreg.nnx import PenaltyVariable
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.nnx_models import Block, gradients_match, snapshot

DECLARED: Any = nnx.StateAxes({PenaltyVariable: 0, ...: None})
TREE: Any = {"graph": True, "graph_updates": False}
LINE = "declare for the module nnx.StateAxes({jaxreg.nnx.PenaltyVariable: 0, ...: None})."


class Parts(nnx.Module):
    """A block, and what functions make of it one after the other."""

    def __init__(self, *calls: Any) -> None:
        self.block = Block(nnx.Rngs(0))
        self.calls = calls

    def __call__(self, x: Any) -> Any:
        for call in self.calls:
            x = call(self.block, x)
        return x


def call(block: Any, x: Any) -> Any:
    """The block as it is."""
    return block(x)


def scan(axes: Any, **keywords: Any) -> Any:
    """Three turns of the block, which a scan shares as the axes say."""
    return lambda block, x: nnx.scan(
        lambda block, x: block(x), length=3, in_axes=(axes, nnx.Carry), out_axes=nnx.Carry, **keywords
    )(block, x)


def vmap(axes: Any, **keywords: Any) -> Any:
    """Three turns of the block on the same input."""
    return lambda block, x: nnx.vmap(lambda block, _: block(x), in_axes=(axes, 0), **keywords)(block, jnp.ones(3))[0]


def turns(count: int, model: Parts) -> float:
    """The sum of all outputs of a block that runs one after the other."""
    x, found = X, 0.0
    for _ in range(count):
        x: Any = model.block(x)
        found += total(x)
    return found


@covers("a loop that counts its turns once", "nnx", "RuntimeError: the state axes to declare")
@pytest.mark.parametrize("keywords", [{}, TREE, {"graph": False}], ids=["graph", "no updates", "tree"])
@pytest.mark.parametrize("outside", [False, True])
def test_a_vmap_that_shares_the_state_is_an_error(keywords: Any, outside: bool) -> None:
    """An activation that does not depend on the axis, in a state that all turns share, would count once."""
    model = Parts(*[call] * outside, vmap(None, **keywords))
    before = snapshot(model)
    with pytest.raises(RuntimeError) as caught:
        l1_of("block.act").apply(model, X)
    assert str(caught.value) == (
        "activations: PenaltyVariable must be delivered for every turn at 'block.act'; got 'one'. The transform around "
        f"'block.act' counts all its turns once: {LINE}"
    )
    assert snapshot(model) == before
    close(l1_of("block.act").apply(Parts(vmap(DECLARED)), X)[1].total, 3 * turns(1, model))


@pytest.mark.parametrize("missing", ["error", "skip"])
@pytest.mark.parametrize(
    "calls",
    [
        (scan(None),),
        (call, scan(None)),
        (scan(None), call),
        (scan(None), scan(DECLARED)),
        (scan(None), scan(None)),
        (nnx.jit(scan(None)),),
    ],
    ids=["alone", "after a call", "before a call", "before another", "twice", "jit"],
)
def test_a_scan_that_drops_what_changes_is_an_error(calls: Any, missing: Any) -> None:
    """A scan throws away the changes of a state that it broadcasts, whatever else runs the same module."""
    model = Parts(*calls)
    before = snapshot(model)
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            l1_of("block.act", missing=missing).apply(model, X)
        assert str(caught.value) == (
            "activations: PenaltyVariable must be delivered for 'block.act'; got 'nothing'. The transform around "
            f"'block.act' drops what changes in a broadcast state: {LINE}"
        )
    assert snapshot(model) == before


def test_a_shared_state_after_one_with_an_axis_is_an_error() -> None:
    """Turns of the second scan would be added to each of those of the first."""
    with pytest.raises(RuntimeError, match=r"for every turn at 'block\.act'"):
        l1_of("block.act").apply(Parts(scan(DECLARED), scan(None)), X)


@pytest.mark.parametrize("transform", [scan, vmap])
def test_transforms_without_updates_say_the_way_out(transform: Any) -> None:
    """Where nnx takes no state axes, a changed state is an error of jax, which is translated."""
    loop = transform(None, **TREE)
    dependent = Parts(lambda block, x: nnx.vmap(lambda b, x: b(x), in_axes=(None, 0), **TREE)(block, x))
    model = Parts(loop) if transform is scan else dependent
    with pytest.raises(TypeError, match=r"the state axes must be declared.*jaxreg\.nnx\.Tap"):
        l1_of("block.act").apply(model, X)


@covers("calls inside and outside of a loop", "nnx")
@pytest.mark.parametrize("jitted", [False, True])
def test_calls_around_a_scan_add_up(jitted: bool) -> None:
    """A module that runs before, inside and after two scans: every call once, with its gradient."""
    model = Parts(call, scan(DECLARED), call, scan(DECLARED))
    reg, before = l1_of("block.act"), snapshot(model)
    loss: Any = lambda m: reg.apply(m, X)[1].total  # noqa: E731
    close((nnx.jit(loss) if jitted else loss)(model), turns(8, model))

    def plain(m: Parts) -> Any:
        x, found = X, jnp.zeros(())
        for _ in range(8):
            x: Any = m.block(x)
            found += jnp.abs(x).sum()
        return found

    gradients_match(model, loss, plain)
    assert snapshot(model) == before


@pytest.mark.parametrize("keywords", [{}, TREE, {"graph": False}], ids=["graph", "no updates", "tree"])
@pytest.mark.parametrize("transform", [nnx.jit, nnx.remat], ids=["jit", "remat"])
def test_transforms_that_are_no_loops(transform: Any, keywords: Any) -> None:
    """jit and remat count once, in each of nnx's modes."""
    model = Parts(lambda block, x: transform(lambda block, x: block(x), **keywords)(block, x), call)
    close(l1_of("block.act").apply(model, X)[1].total, turns(2, model))


def test_a_pass_that_fails_leaves_nothing_to_the_one_around_it() -> None:
    """An inner pass of the same module that raises after it has heard something inside a transform."""
    reg = l1_of("act")

    def failing(block: Any, x: Any) -> Any:
        for fails in (True, False, False):
            try:
                y, penalties = reg.apply(Runs(block, fails), x)
            except ArithmeticError:
                continue
            assert penalties.total == total(y)
        return block(x)

    class Runs(nnx.Module):
        def __init__(self, block: Any, fails: bool) -> None:
            self.act = block
            self.fails = fails

        def __call__(self, x: Any) -> Any:
            y = nnx.jit(lambda block, x: block(x))(self.act, x)
            if self.fails:
                raise ArithmeticError
            return y

    model = Parts(failing)
    found = l1_of("block").apply(model, X)[1].total
    close(found, 4 * turns(1, model))
    assert nnx_scalars._homes == {}


@covers("a gradient inside the model", "nnx")
def test_nnxs_own_autodiff_counts_once() -> None:
    """Value and gradient of the plain block: what is differentiated inside is heard once."""
    grad: Any = nnx.value_and_grad(lambda block, x: block(x).sum())
    model = Parts(lambda block, x: grad(block, x)[0])
    gradients_match(model, lambda m: l1_of("block.act").apply(m, X)[1].total, lambda m: jnp.abs(m.block(X)).sum())


@covers("a gradient rule of the model's own", "nnx", "RuntimeError: name what it returns with `Tap`")
@pytest.mark.parametrize("keywords", [{"graph_updates": True}, {"graph_updates": False}], ids=["graph", "no updates"])
def test_a_custom_gradient_that_would_drop_the_penaltys_is_an_error(keywords: Any) -> None:
    """nnx.custom_vjp answers for all that it runs: nothing selected may run inside."""

    @nnx.custom_vjp(**keywords)
    def ruled(block: Any, x: Any) -> Any:
        return block(x)

    ruled.defvjp(lambda block, x: (ruled(block, x), None), lambda kept, g: g)
    model = Parts(ruled)
    with pytest.raises(RuntimeError) as caught:
        l1_of("block.act").apply(model, X)
    assert str(caught.value) == (
        "activations: gradients must be those of autodiff at 'block.act'; got 'nnx.custom_vjp'. nnx.custom_vjp around "
        "'block.act' has a backward of its own, which knows no penalty: name what it returns with jaxreg.nnx.Tap."
    )
    close(l1_of("").apply(model, X)[1].total, turns(1, model))
