"""What an nnx model may do beside calling its modules: sow in other ways, fail by itself, run a pass of its own."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from flax.errors import TraceContextError

import jaxreg
from jaxreg.nnx import Tap
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.nnx_models import Block, snapshot


class Sower(nnx.Module):
    """Sows its doubled input as a variable of a type."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __call__(self, x: Any) -> Any:
        self.sow(self.kind, "hidden", 2 * x)
        return x


class Holder(nnx.Module):
    """A module under the name ``inner``."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, x: Any) -> Any:
        return self.inner(x)


class Other(nnx.Variable):
    """A type of variable that is no intermediate."""


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
def test_only_intermediates_are_sown_activations() -> None:
    """By the type or by its name; what is sown as another type is the model's own business."""
    for kind in (nnx.Intermediate, "intermediates"):
        close(l1_of("inner.hidden").apply(Holder(Sower(kind)), X)[1].total, 2 * total(X))
    with pytest.raises(LookupError, match=r"got 'inner\.hidden'"):
        l1_of("inner.hidden").apply(Holder(Sower(Other)), X)


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
def test_what_is_sown_has_no_input_and_no_type() -> None:
    """A term of inputs and one of a type select modules alone, beside one that selects what they sow."""
    model = Holder(Sower(nnx.Intermediate))
    modules: Any = (("in", {"of": "input"}), ("kind", {"type": "Sower"}))
    reg = jaxreg.Regularizer(
        *(
            jaxreg.L1(1.0).on(jaxreg.activations("inner*", per="batch", **target), name=name)
            for name, target in modules
        ),
        jaxreg.L1(1.0).on(jaxreg.activations("**", per="batch"), name="all"),
        jaxreg.L1(1.0).on(jaxreg.activations("**", per="batch", of="input"), name="all inputs"),
        jaxreg.L1(1.0).on(jaxreg.activations("**", per="batch", type="Sower"), name="all of a kind"),
    )
    layers = reg.apply(model, X)[1].layers
    assert {name: set(found) for name, found in layers.items()} == {
        "in": {"inner"},
        "kind": {"inner"},
        "all": {"inner", "inner.hidden"},
        "all inputs": {"inner"},
        "all of a kind": {"inner"},
    }


def test_errors_of_the_model_stay_its_own() -> None:
    """A TypeError, a ValueError and an error of trace levels that are not the capture's doing are not renamed."""

    class Failing(nnx.Module):
        def __init__(self, error: Exception | None) -> None:
            self.act = Tap()
            self.count = nnx.BatchStat(jnp.zeros(()))
            self.error = nnx.static(error)

        def __call__(self, x: Any) -> Any:
            x = self.act(x)
            if self.error is not None:
                raise self.error

            def counted(x: Any) -> Any:
                self.count.set_value(self.count.get_value() + 1)
                return x

            return jax.jit(counted)(x)

    for error in (TypeError("from the model"), ValueError("from the model")):
        with pytest.raises(type(error), match=r"^from the model$"):
            l1_of("act").apply(Failing(error), X)
    with pytest.raises(TraceContextError, match="BatchStat"):
        l1_of("act").apply(Failing(None), X)


def test_an_inner_pass_leaves_its_rules_to_nobody() -> None:
    """After a pass inside a pass its modules may run where they could not sow, such as in one branch."""
    reg = l1_of("block.act")

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.block = Block(nnx.Rngs(0))
            self.out = Tap()

        def __call__(self, x: Any) -> Any:
            y = reg.apply(Inner(self.block), x)[0]
            return self.out(nnx.cond(x.sum() > -1e9, lambda b, x: b(x), lambda b, x: x, self.block, y))

    class Inner(nnx.Module):
        def __init__(self, block: Block) -> None:
            self.block = block

        def __call__(self, x: Any) -> Any:
            return self.block(x)

    model = Model()
    before = snapshot(model)
    expected = total(model.block(model.block(X)))
    for pattern in ("out", re.compile("out")):  # a regular expression may mean what any module sows
        close(l1_of(pattern).apply(model, X)[1].total, expected)
    assert snapshot(model) == before


@pytest.mark.parametrize("bound", [False, True])
def test_a_mask_that_is_not_given_is_an_error(bound: bool) -> None:
    """In every way to call: the term and the mask are named."""
    reg = l1_of("inner", mask="pad")
    with pytest.raises(ValueError, match=r"masks must be given for 'pad', which the term 's' uses; got None\. Use at"):
        (reg.at() if bound else reg).apply(Holder(Tap()), X)
