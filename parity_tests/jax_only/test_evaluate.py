"""``evaluate``: the penalties of trees that the caller captured or sowed himself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import jaxreg
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total

KEY = jax.random.key(1)


class Model(nn.Module):
    """Sows, calls one module twice, and returns two arrays."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        shared = nn.Dense(4, name="shared")
        x = shared(shared(x))
        self.sow("intermediates", "hidden", x)
        return {"logits": x, "features": 2 * x}


@pytest.fixture(scope="module")
def variables() -> Any:
    return {"params": Model().init(KEY, X)["params"]}


@pytest.fixture(scope="module")
def tree(variables: Any) -> Any:
    return Model().apply(variables, X, capture_intermediates=True, mutable=["intermediates"])[1]["intermediates"]


@covers("trees that the caller captured", "linen")
def test_sown_and_captured_trees(variables: Any, tree: Any) -> None:
    """Every call's entry counts; captured outputs go by the module's path, sown ones by their name."""
    reg = l1_of(("shared", "hidden"))
    found = reg.evaluate(intermediates=tree).layers["s"]
    assert set(found) == {"shared", "hidden"}
    close(found["shared"], sum(total(y) for y in tree["shared"]["__call__"]))
    close(found["hidden"], total(tree["hidden"][0]))
    applied = l1_of(("shared", "hidden")).apply(Model(), variables, X)[1].layers["s"]
    jax.tree.map(close, found, applied)


def test_an_output_of_several_arrays_needs_an_index(tree: Any) -> None:
    """A position or key chooses; without one the error lists what is there."""
    close(l1_of("", index="features").evaluate(intermediates=tree).total, total(tree["__call__"][0]["features"]))
    with pytest.raises(ValueError, match=r"\['logits'\]"):
        l1_of("").evaluate(intermediates=tree)
    with pytest.raises(LookupError, match="logits"):
        l1_of("", index="logit").evaluate(intermediates=tree)


def test_parameters_and_gradients(variables: Any, tree: Any) -> None:
    """Parameters are selected by name and role, and the gradient flows through both trees."""
    reg = jaxreg.Regularizer(
        jaxreg.L2(1.0).on(jaxreg.params(role="kernel"), name="p"),
        jaxreg.L2(1.0).on(jaxreg.activations("hidden", per="batch"), name="a"),
    )

    def loss(params: Any) -> Any:
        _, state = Model().apply({"params": params}, X, mutable=["intermediates"])
        return reg.evaluate(params=params, intermediates=state["intermediates"]).total

    applied = jax.grad(lambda p: reg.apply(Model(), {"params": p}, X)[1].total)(variables["params"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
        jax.grad(loss)(variables["params"]),
        applied,
    )


@pytest.mark.parametrize(
    ("reg", "kind", "message"),
    [
        (l1_of(type="Dense"), ValueError, "type must be None"),
        (l1_of("hidden", of="input"), ValueError, "of must be 'output'"),
        (l1_of("hiden"), LookupError, "Nearest names: 'hidden'"),
    ],
    ids=["type", "of", "typo"],
)
def test_what_trees_do_not_know_is_refused(tree: Any, reg: Any, kind: type[Exception], message: str) -> None:
    """Trees have no types and no inputs, and a typo is answered with the nearest names."""
    with pytest.raises(kind, match=message):
        reg.evaluate(intermediates=tree)


def test_empty_and_missing_trees_are_refused() -> None:
    """An empty tree is a capture that was lost, a missing one an argument that was forgotten."""
    with pytest.raises(RuntimeError, match="mutable="):
        l1_of("hidden").evaluate(intermediates={})
    with pytest.raises(TypeError, match="intermediates must be given"):
        l1_of("hidden").evaluate()
    parameters = jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.params()))
    with pytest.raises(TypeError, match="params must be given"):
        parameters.evaluate()
    with pytest.raises(RuntimeError, match="variables"):
        parameters.evaluate(params={})


def test_axes_that_nobody_knows_are_asked_for() -> None:
    """A tree does not tell what the axes of an image are: a penalty that needs them asks for layout."""
    tree = {"image": (jnp.ones((2, 3, 3, 4)),)}
    group = jaxreg.GroupLasso(1.0, groups="feature")
    with pytest.raises(ValueError, match="layout="):
        jaxreg.Regularizer(group.on(jaxreg.activations("image"))).evaluate(intermediates=tree)
    stated = jaxreg.activations("image", layout=("sample", "...", "feature"))
    close(jaxreg.Regularizer(group.on(stated)).evaluate(intermediates=tree).total, 4 * 18)
    assert l1_of("image").evaluate(intermediates=tree).total == 72


def test_masks_and_weights_apply() -> None:
    """What at(...) binds holds for trees too."""
    reg = l1_of("x", mask="m").at(masks={"m": jnp.array([1, 0])}, weights={"s": 3.0})
    assert reg.evaluate(intermediates={"x": (jnp.ones((2, 2)),)}).total == 6
