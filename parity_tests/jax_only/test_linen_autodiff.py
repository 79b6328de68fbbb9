"""Differentiation inside a linen model: the penalty keeps its gradient, or the model's own rule is an error."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from jaxreg.linen import Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, same_gradients, total
from parity_tests.jax_only.linen_models import Block

KEY = jax.random.key(1)


def _call(block: Any, x: Any) -> Any:
    return block(x)


def _ruled(block: Any, x: Any) -> Any:
    def forward(block: Any, x: Any) -> Any:
        return nn.vjp(_call, block, x)

    return nn.custom_vjp(_call, forward_fn=forward, backward_fn=lambda vjp, y: vjp(y))(block, x)


def _jvp(block: Any, x: Any) -> Any:
    still = {"params": jax.tree.map(jnp.zeros_like, block.variables["params"])}
    return nn.jvp(_call, block, (x,), (x,), still)[0]


FORMS: dict[str, Any] = {
    "vjp": lambda block, x: nn.vjp(_call, block, x)[0],
    "jvp": _jvp,
    "value_and_grad": lambda block, x: nn.value_and_grad(lambda block, x: block(x).sum(), block, x)[0],
    "custom_vjp": _ruled,
}


class Model(nn.Module):
    """A block under a transform that differentiates, and a name for what comes out."""

    form: str

    @nn.compact
    def __call__(self, x: Any) -> Any:
        block = Block(name="block")
        return Tap(name="out")(block(x) if self.is_initializing() else FORMS[self.form](block, x))


VARIABLES = Model("vjp").init(KEY, X)


@covers("a gradient inside the model", "linen")
@pytest.mark.parametrize("form", ["vjp", "jvp", "value_and_grad"])
def test_linens_own_autodiff_counts_once(form: str) -> None:
    """Value and gradient of the plain block: what is differentiated inside is heard once."""
    block: Any = Block()
    same_gradients(
        lambda v: l1_of("block.act").apply(Model(form), v, X)[1].total,
        lambda v: jnp.abs(block.apply({"params": v["params"]["block"]}, X)).sum(),
        VARIABLES,
    )


@covers("a gradient rule of the model's own", "linen", "RuntimeError: name what it returns with `Tap`")
def test_a_custom_gradient_that_would_drop_the_penaltys_is_an_error() -> None:
    """nn.custom_vjp has no cotangent for what is sown inside: the value would be right, the gradient silently 0."""
    with pytest.raises(RuntimeError) as caught:
        l1_of("block.act").apply(Model("custom_vjp"), VARIABLES, X)
    assert str(caught.value) == (
        "activations: gradients must be those of autodiff at 'block.act'; got 'nn.custom_vjp'. nn.custom_vjp around "
        "'block.act' has a backward of its own, which knows no penalty: name what it returns with jaxreg.linen.Tap."
    )
    close(l1_of("out").apply(Model("custom_vjp"), VARIABLES, X)[1].total, total(Model("vjp").apply(VARIABLES, X)))
