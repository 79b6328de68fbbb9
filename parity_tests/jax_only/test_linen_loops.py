"""Linen modules inside and outside of the loops of one model: every turn and every call counts, or it is an error."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax.typing import Out

from jaxreg.linen import COLLECTION
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, same_gradients, total
from parity_tests.jax_only.linen_models import Block, Holder, scan, vmap

KEY = jax.random.key(1)
ONCE = (
    "activations: the collection must be delivered for every turn at '{0}'; got 'one'. The lifted transform around "
    "'{0}' counts all its turns once: declare the collection as neither broadcast nor None, but in "
    "nn.scan(..., variable_axes={{jaxreg.linen.COLLECTION: 0}})."
)


class Parts(nn.Module):
    """Two blocks, and what a function makes of them."""

    call: Any

    def setup(self) -> None:
        self.first = Block()
        self.block = Block()

    def __call__(self, x: Any) -> Any:
        return self.call(self, x)


VARIABLES = Parts(lambda m, x: m.block(m.first(x))).init(KEY, X)
FIRST, BLOCK = ({"params": VARIABLES["params"][name]} for name in ("first", "block"))


def _looped(body: Any, **keywords: Any) -> Any:
    """A scan of three turns over a function of modules that shares the parameters."""
    return scan(body, length=3, **{"variable_broadcast": "params", **keywords})


def _step(model: Any, x: Any, _: Any) -> Any:
    return model.block(x), None


def _constant(model: Any, x: Any, _: Any) -> Any:
    return x + model.block(X), None


def _sum(model: Any, variables: Any = VARIABLES, pattern: Any = "block.act") -> Any:
    return l1_of(pattern).apply(model, variables, X)[1].total


class Still(nn.Module):
    """The body of a scan whose block sees the same input at every turn."""

    @nn.compact
    def __call__(self, x: Any, same: Any) -> Any:
        return x + Block(name="block")(same), None


@covers("a loop that counts its turns once", "linen", "RuntimeError: the line to add")
@pytest.mark.parametrize("form", ["class", "function", "jit", "nested", "vmap"])
def test_a_loop_that_shares_the_collection_is_an_error(form: str) -> None:
    """An activation that does not depend on the loop, in a collection that its turns share, would count once."""
    shared = {"variable_broadcast": ["params", COLLECTION]}
    model: Any = Parts(lambda m, x: _looped(_constant, **shared)(m, x, None)[0])
    variables, path = VARIABLES, "block.act"
    if form in ("class", "jit"):
        body = scan(Still, **shared, split_rngs={"params": False}, length=3, in_axes=nn.broadcast)
        body = nn.jit(body) if form == "jit" else body
        model = Holder(lambda name: lambda x: body(name=name)(x, x)[0])
        variables, path = model.init(KEY, X), "inner.block.act"
    elif form == "nested":
        inner = _looped(_constant, **shared)
        outer = _looped(lambda m, x, _: inner(m, x, None), variable_axes={COLLECTION: 0})
        model = Parts(lambda m, x: outer(m, x, None)[0])
    elif form == "vmap":
        axes = {"params": None, COLLECTION: None}
        model = Parts(lambda m, x: vmap(lambda m, _: m.block(X), variable_axes=axes)(m, jnp.ones(3)).sum(0))
    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            _sum(model, variables, path)
        assert str(caught.value) == ONCE.format(path)


def test_a_loop_with_an_axis_counts_every_turn() -> None:
    """The same activations, where the collection has an axis: three times, with three times the gradient."""
    model = Parts(lambda m, x: _looped(_constant, variable_axes={COLLECTION: 0})(m, x, None)[0])
    same_gradients(
        lambda v: _sum(model, v),
        lambda v: 3 * jnp.abs(Block().apply({"params": v["params"]["block"]}, X)).sum(),  # pyright: ignore[reportArgumentType]
        VARIABLES,
    )
    axes = {"params": None, COLLECTION: 0}
    model = Parts(lambda m, x: vmap(lambda m, _: m.block(X), variable_axes=axes)(m, jnp.ones(3)).sum(0))
    close(_sum(model), 3 * total(Block().apply(BLOCK, X)))


def test_remat_scan_counts_every_turn() -> None:
    """Flax's own scan of scans under remat shares nothing as it stands."""
    stack = nn.remat_scan(Block, lengths=(2, 3))
    model = Holder(lambda name: stack(name=name))
    variables = model.init(KEY, X)
    x, expected = X, 0.0
    for i in range(2):
        for j in range(3):
            layer = jax.tree.map(lambda a, i=i, j=j: a[i, j], variables["params"]["inner"])
            x: Any = Block().apply({"params": layer}, x)
            expected += total(x)
    close(l1_of("inner.act").apply(model, variables, X)[1].total, expected)


@covers("calls inside and outside of a loop", "linen")
@pytest.mark.parametrize("jitted", [False, True])
def test_calls_around_a_scan_add_up(jitted: bool) -> None:
    """Modules that run before, inside and after a scan over the model: every call once, with its gradient."""
    scanned = _looped(_step, variable_axes={COLLECTION: 0})

    def call(m: Any, x: Any) -> Any:
        x = m.block(m.first(x))
        return m.block(scanned(m, x, None)[0])

    def plain(variables: Any) -> Any:
        y: Any = Block().apply({"params": variables["params"]["first"]}, X)
        found = jnp.abs(y).sum()
        for _ in range(5):
            y = Block().apply({"params": variables["params"]["block"]}, y)
            found += jnp.abs(y).sum()
        return found

    def loss(variables: Any) -> Any:
        return _sum(Parts(call), variables, ("first.act", "block.act"))

    same_gradients(jax.jit(loss) if jitted else loss, plain, VARIABLES)


def test_two_scans_over_one_module_add_up() -> None:
    """What the first has stacked is there for the second; where it is not, it would be written over: an error."""

    def twice(axis: Any) -> Any:
        scanned = _looped(_step, variable_axes={COLLECTION: axis})
        return Parts(lambda m, x: scanned(m, scanned(m, x, None)[0], None)[0])

    y, expected = X, 0.0
    for _ in range(6):
        y: Any = Block().apply(BLOCK, y)
        expected += total(y)
    close(_sum(twice(0)), expected)
    with pytest.raises(RuntimeError, match=r"given what earlier calls of 'block\.act' left; got 'nothing'.*both ways"):
        _sum(twice(Out(0)))


def test_a_shared_collection_after_one_with_an_axis_is_an_error() -> None:
    """Three turns of the second scan would be one that is added to each of the three of the first."""
    axes, shared = {"variable_axes": {COLLECTION: 0}}, {"variable_broadcast": ["params", COLLECTION]}

    def call(m: Any, x: Any) -> Any:
        x = _looped(_step, **axes)(m, x, None)[0]
        return _looped(_constant, **shared)(m, x, None)[0]

    with pytest.raises(RuntimeError, match=r"delivered for every turn at 'block\.act'"):
        _sum(Parts(call))


FIXED = {
    "carry": lambda m, x: _looped(_step, variable_carry=COLLECTION)(m, x, None)[0],
    "carry after a call": lambda m, x: _looped(_step, variable_carry=COLLECTION)(m, m.block(x), None)[0],
    "vmap": lambda m, x: vmap(lambda m, x: m.block(x), variable_axes={"params": None, COLLECTION: None})(m, x),
    "switch": lambda m, x: nn.switch(1, [lambda m, x: x, lambda m, x: m.block(x)], m, x),
    "while": lambda m, x: nn.while_loop(
        lambda m, c: c[1] < 3, lambda m, c: (m.block(c[0]), c[1] + 1), m, (x, 0), carry_variables=COLLECTION
    )[0],
    "a call and a scan in a scan": lambda m, x: _looped(
        lambda m, x, _: _looped(_step, variable_axes={COLLECTION: 0})(m, m.block(x), None),
        variable_axes={COLLECTION: 0},
    )(m, x, None)[0],
}


@pytest.mark.parametrize("form", FIXED)
def test_a_collection_that_cannot_grow_is_an_error(form: str) -> None:
    """The path of what is selected inside, not of what is outside, and both ways out."""
    with pytest.raises(RuntimeError) as caught:
        _sum(Parts(lambda m, x: FIXED[form](m, m.first(x))), VARIABLES, ("first.act", "block.act"))
    assert str(caught.value) == (
        "activations: the collection must be free to grow where a selected module runs; got ('block.act',). nn.cond, "
        "nn.switch, nn.while_loop and variable_carry fix the structure of collections: name their result with "
        "jaxreg.linen.Tap outside of them; in nn.scan and nn.vmap, declare variable_axes={jaxreg.linen.COLLECTION: 0}."
    )


@pytest.mark.parametrize("form", ["while", "map_variables"])
def test_a_collection_that_is_kept_out_is_an_error(form: str) -> None:
    """A loop that does not carry it, and a transform that makes it immutable."""
    forms: dict[str, Any] = {
        "while": lambda m, x: nn.while_loop(lambda m, c: c[1] < 3, lambda m, c: (m.block(c[0]), c[1] + 1), m, (x, 0))[
            0
        ],
        "map_variables": lambda m, x: nn.map_variables(lambda m, x: m.block(x), COLLECTION)(m, x),
    }
    with pytest.raises(RuntimeError, match=r"delivered for 'block\.act'; got 'nothing'"):
        _sum(Parts(forms[form]))


@pytest.mark.parametrize("branch", [0, 1])
def test_a_branch_may_hold_what_has_run_before_it(branch: int) -> None:
    """A structure that is fixed, but complete, carries the right sum."""

    def call(m: Any, x: Any) -> Any:
        return nn.switch(branch, [lambda m, x: x, lambda m, x: m.block(x)], m, m.block(x))

    y = Block().apply(BLOCK, X)
    expected = total(y) + branch * total(Block().apply(BLOCK, y))  # pyright: ignore[reportArgumentType]
    close(_sum(Parts(call)), expected)


def test_a_trace_of_a_loop_is_not_served_to_a_model_without_one() -> None:
    """The same jitted layer, under the same name, in a loop of one model and outside of all in another."""
    jitted = nn.jit(Block)

    class Model(nn.Module):
        looped: bool

        def setup(self) -> None:
            self.block = jitted()

        def __call__(self, x: Any) -> Any:
            if not self.looped:
                return self.block(x)
            return _looped(_step, variable_broadcast=False, variable_axes={True: 0})(self, x, None)[0]

    once, y, thrice = total(Block().apply(BLOCK, X)), X, 0.0
    for _ in range(3):
        y: Any = Block().apply(BLOCK, y)
        thrice += total(y)
    variables = {"params": {"block": BLOCK["params"]}}
    stacked = jax.tree.map(lambda a: jnp.stack([a, a, a]), variables)
    for looped, expected in ((True, thrice), (False, once), (True, thrice)):
        close(_sum(Model(looped), stacked if looped else variables), expected)
