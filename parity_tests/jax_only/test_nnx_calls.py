"""What is a call of an nnx module, and what is answered where there was none."""

from __future__ import annotations

from typing import Any

import pytest
from flax import nnx

from jaxreg.nnx import Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.nnx_models import Block, Two, snapshot


class Shared(nnx.Module):
    """One block under two names, and two blocks in a plain list."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.a = Block(rngs)
        self.b = self.a
        self.rest = nnx.List([Block(rngs), Block(rngs)])

    def __call__(self, x: Any) -> Any:
        x = self.b(self.a(x))
        for block in self.rest:
            x = block(x)
        return x


class Plain(Shared, pytree=False):
    """The same with a list that is Python's own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.rest = list(self.rest)


@covers("a shared module, called several times", "nnx")
@pytest.mark.parametrize("kind", [Shared, Plain])
def test_shared_modules_and_lists(kind: Any) -> None:
    """A shared module counts both calls under one name; what a list holds goes by its position."""
    model = kind(nnx.Rngs(0))
    before = snapshot(model)
    first, x = model.a(X), model.a(model.a(X))
    ys = [x := block(x) for block in model.rest]
    found = l1_of(("*", "rest.*")).apply(model, X)[1].layers["s"]
    assert set(found) == {"a", "rest.0", "rest.1"}
    close(found["a"], total(first) + total(model.a(first)))
    close(found["rest.1"], total(ys[1]))
    assert set(l1_of("b.act").apply(model, X)[1].layers["s"]) == {"b.act"}
    assert snapshot(model) == before


class Deeper(Block):
    """Calls its parent's ``__call__``."""

    def __call__(self, x: Any) -> Any:
        return super().__call__(x) + 1


class Inherited(Block):
    """Inherits ``__call__``."""


class Recursive(Block):
    """Calls itself."""

    def __call__(self, x: Any, depth: int = 2) -> Any:
        return self(2 * x, depth - 1) if depth else x


@covers("`super()` and inherited calls", "nnx")
@pytest.mark.parametrize("kind", [Deeper, Inherited])
def test_parents_call_counts_once(kind: Any) -> None:
    """super().__call__() is part of a call, and an inherited one is a call."""
    model = kind(nnx.Rngs(0))
    close(l1_of("").apply(model, X)[1].total, total(model(X)))


@covers("a model that calls itself", "nnx")
def test_a_module_that_calls_itself_counts_every_call() -> None:
    """Recursion is more than one call."""
    close(l1_of("").apply(Recursive(nnx.Rngs(0)), X)[1].total, 3 * total(4 * X))


@covers("a pass inside a pass", "nnx")
def test_a_pass_inside_a_pass() -> None:
    """A model that penalises a part of itself: both passes count, and end where they should."""
    inner_total = []

    class Nested(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.two = Two(rngs)

        def __call__(self, x: Any) -> Any:
            y, penalties = l1_of(("second.act", "first")).apply(self.two, x)
            inner_total.append(penalties.total)
            return y

    model = Nested(nnx.Rngs(0))
    before, first, second = snapshot(model), model.two.first(X), model.two(X)
    found = l1_of(("two.second.act", "two")).apply(model, X)[1].layers["s"]
    close(found["two.second.act"], total(second))
    close(found["two"], total(second))
    close(inner_total[0], total(first) + total(second))
    assert snapshot(model) == before


@covers("a module that a pass may skip", "nnx")
@covers("a functional activation", "nnx", "LookupError: name it with `Tap`")
def test_modules_that_did_not_run() -> None:
    """A selected module that did not run is an error that names Tap and skip; skipped it is worth nothing; a typo stays
    a LookupError."""

    class Idle(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.used, self.idle = Block(rngs), Block(rngs)

        def __call__(self, x: Any) -> Any:
            return self.used(x)

    model = Idle(nnx.Rngs(0))
    close(l1_of("*", missing="skip").apply(model, X)[1].total, total(model(X)))
    with pytest.raises(RuntimeError, match=r"\('idle',\).*jaxreg\.nnx\.Tap.*missing='skip'"):
        l1_of("*").apply(model, X)
    for missing in ("skip", "error"):
        with pytest.raises(LookupError, match=r"Nearest names: 'idle'.*jaxreg\.nnx\.Tap"):
            l1_of("idel", missing=missing).apply(model, X)


@covers("a tensor named with `Tap`", "nnx")
def test_a_tap_is_the_value_it_is_given() -> None:
    """The penalty is that of the function's result."""

    class Named(nnx.Module):
        def __init__(self) -> None:
            self.act = Tap()

        def __call__(self, x: Any) -> Any:
            return self.act(nnx.relu(x))

    y, penalties = l1_of("act").apply(Named(), X)
    close(penalties.total, total(y))
