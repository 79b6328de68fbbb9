"""What is a call of a linen module, and what is answered where there was none."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import jax
import pytest
from flax import linen as nn
from flax.linen import module as linen_module

from jaxreg.linen import Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.linen_models import Block, Holder, Sower

KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def variables() -> Any:
    return Sower().init(KEY, X)


@covers("a shared module, called several times", "linen")
def test_shared_submodules_count_every_call() -> None:
    """A module that is called twice counts twice, its own sows too."""

    class Twice(nn.Module):
        def setup(self) -> None:
            self.inner = Sower()

        def __call__(self, x: Any) -> Any:
            return self.inner(self.inner(x, False), False)

    model = Twice()
    variables = {name: tree for name, tree in model.init(KEY, X).items() if name != "intermediates"}
    _, state = model.apply(variables, X, mutable=["intermediates"], capture_intermediates=True)
    calls = state["intermediates"]["inner"]
    found = l1_of(("inner", "inner.hidden")).apply(model, variables, X)[1].layers["s"]
    close(found["inner"], sum(total(y) for y in calls["__call__"]))
    close(found["inner.hidden"], sum(total(y) for y in calls["hidden"]))


class Deeper(Block):
    """Calls its parent's ``__call__``."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return super().__call__(x) + 1


class Inherited(Block):
    """Inherits ``__call__``."""


class Recursive(nn.Module):
    """Calls itself."""

    def __call__(self, x: Any, depth: int = 2) -> Any:
        return self(2 * x, depth - 1) if depth else x


@covers("`super()` and inherited calls", "linen")
@pytest.mark.parametrize("kind", [Deeper, Inherited])
def test_parents_call_counts_once(kind: type) -> None:
    """super().__call__() is part of a call, and an inherited one is a call."""
    model = Holder(kind)
    variables = model.init(KEY, X)
    close(l1_of("inner").apply(model, variables, X)[1].total, total(model.apply(variables, X)))


@covers("a model that calls itself", "linen")
def test_a_module_that_calls_itself_counts_every_call() -> None:
    """Recursion is more than one call."""
    close(l1_of("inner").apply(Holder(Recursive), {}, X)[1].total, 3 * total(4 * X))


@covers("another method as the call (`method=`)", "linen")
def test_method_is_the_roots_call(variables: Any) -> None:
    """method= runs another method: its output is the root's, its submodules and sows count."""
    reg = l1_of(("", "act", "hidden"))
    (y, _), penalties = reg.apply(Sower(), variables, X, method="encode", mutable=["batch_stats"])
    close(penalties.layers["s"][""], total(y))
    close(penalties.layers["s"]["act"], total(y) / 2)
    by_function = reg.apply(Sower(), variables, X, method=Sower.encode, mutable=["batch_stats"])[1]
    assert by_function.total == penalties.total


@covers("a functional activation", "linen", "LookupError: name it with `Tap`")
def test_functions_are_answered_with_tap() -> None:
    """A function is no module: the error names the nearest names and Tap."""
    variables = Block().init(KEY, X)
    with pytest.raises(LookupError) as caught:
        l1_of("relu").apply(Block(), variables, X)
    assert str(caught.value) == (
        "activations: pattern must be a pattern that matches the name of a module; got 'relu'. "
        "Nearest names: 'dense', 'act'. A function (such as relu) is no module: name its result with jaxreg.linen.Tap."
    )


class Experts(nn.Module):
    """Two experts, of which a flag chooses."""

    @nn.compact
    def __call__(self, x: Any, second: bool = True) -> Any:
        x = Block(name="expert_0")(x)
        return Block(name="expert_1")(x) if second or self.is_initializing() else x


@covers("a module that a pass may skip", "linen")
def test_modules_that_did_not_run() -> None:
    """A module whose parameters are there but which did not run is an error, unless it may be skipped."""
    variables = Experts().init(KEY, X)
    close(
        l1_of("expert_*", missing="skip").apply(Experts(), variables, X, False)[1].total,
        total(Experts().apply(variables, X, False)),
    )
    assert l1_of("expert_1.act", missing="skip").apply(Experts(), variables, X, False)[1].total == 0
    with pytest.raises(RuntimeError, match=r"\('expert_1',\).*missing='skip'"):
        l1_of("expert_*").apply(Experts(), variables, X, False)
    with pytest.raises(LookupError):
        l1_of("expert_2", missing="skip").apply(Experts(), variables, X)


class Chosen(nn.Module):
    """Two names without parameters, of which a flag chooses, and a block that may not run; all of setup."""

    def setup(self) -> None:
        self.left = Tap()
        self.right = Tap()
        self.block = Block()

    def __call__(self, x: Any, block: bool = False) -> Any:
        return self.left(self.block(x) if block or self.is_initializing() else x)


def test_a_skipped_module_without_parameters_is_known_from_setup() -> None:
    """Under missing='skip' it costs 0, otherwise it is the error of a module that did not run; a typo is neither."""
    variables = Chosen().init(KEY, X)
    close(l1_of("*", missing="skip").apply(Chosen(), variables, X)[1].total, total(X))
    assert l1_of("right", missing="skip").apply(Chosen(), variables, X)[1].total == 0
    assert l1_of(("right", "block.act"), missing="skip").apply(Chosen(), variables, X)[1].total == 0
    with pytest.raises(RuntimeError, match=r"\('right',\).*missing='skip'"):
        l1_of("right").apply(Chosen(), variables, X)
    with pytest.raises(LookupError) as caught:
        l1_of("rigth", missing="skip").apply(Chosen(), variables, X)
    assert str(caught.value) == (
        "activations: pattern must be a pattern that matches the name of a module; got 'rigth'. Nearest names: "
        "'right'. A function (such as relu) is no module: name its result with jaxreg.linen.Tap. A module that did not "
        "run is known by its parameters, or from setup."
    )


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("block.act", True),
        ("*.act", True),
        ("**.deep", True),
        ("block.dense.inner", True),
        (re.compile("block.*t"), True),
        ("blok.act", False),
        ("left.act.*", False),
        ("*k", True),
        ("?", False),
    ],
    ids=str,
)
def test_only_what_did_not_run_may_hold_what_is_not_found(pattern: Any, meant: bool) -> None:
    """A pattern that can mean something inside a module that was skipped is no typo; any other that fails is."""
    variables = Chosen().init(KEY, X)
    call = partial(l1_of(pattern, missing="skip").apply, Chosen(), variables, X)
    if meant:
        assert call()[1].total == 0
    else:
        with pytest.raises(LookupError):
            call()


@covers("an exception in forward", "linen")
def test_an_exception_leaves_no_interceptor() -> None:
    """After a model that raises, the next pass is the same to the bit, and nothing listens any more."""

    class Raising(nn.Module):
        @nn.compact
        def __call__(self, x: Any, fail: bool = False) -> Any:
            x = Block(name="block")(x)
            if fail:
                raise ArithmeticError("from the model")
            return x

    reg, variables = l1_of("block.act"), Raising().init(KEY, X)
    before = reg.apply(Raising(), variables, X)[1].total
    with pytest.raises(ArithmeticError, match="from the model"):
        reg.apply(Raising(), variables, X, True)
    assert len(linen_module._global_interceptor_stack) == 0
    assert reg.apply(Raising(), variables, X)[1].total == before


def test_flags_stay_flags_in_describe(variables: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """describe traces the model without turning a Python flag into an array, and takes shapes for arrays."""
    shape = jax.ShapeDtypeStruct(X.shape, X.dtype)
    l1_of("act").describe(Sower(), variables, shape, True)
    assert "output of Tap" in capsys.readouterr().out
