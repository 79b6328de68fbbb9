"""What the ten snippets are in Flax, and the lines that replace them: value and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import absent
from parity_tests.recipes.figures import TOLERANCE

if _reason := absent("jax"):
    pytest.skip(_reason, allow_module_level=True)

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import nnx
from jax.flatten_util import ravel_pytree

import jaxreg
from jaxreg import (
    L1,
    L2,
    ElasticNet,
    GroupLasso,
    L2Norm,
    Orthogonal,
    Regularizer,
    SparseGroupLasso,
    activations,
    inject,
    params,
)

pytestmark = pytest.mark.usefixtures("float64_jax")
WEIGHTS = ("linear1", "linear2")


class Net(nn.Module):
    """Two linear layers; a Tap, called twice, names what the functional relu gives; it can return what is hidden."""

    penalize: bool = False
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: Any, hidden: bool = False) -> Any:
        dense = {"param_dtype": jnp.float64}
        tap = jaxreg.linen.Tap(name="relu")
        norm = nn.BatchNorm(use_running_average=True, name="norm", param_dtype=jnp.float64)
        first = tap(nn.relu(norm(nn.Dense(4, name="linear1", **dense)(x))))
        if self.penalize:
            first = jaxreg.linen.Penalize(L1(0.1), scale=self.scale)(first)
        second = tap(nn.relu(nn.Dense(4, name="linear2", **dense)(first)))
        return (second, first) if hidden else second


def made(model: Any) -> tuple[Any, Any]:
    """Variables and an input, all of float64."""
    x = jnp.asarray(np.random.default_rng(1).standard_normal((6, 3)))
    variables = model.init(jax.random.key(0), x)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64) + 0.01, variables), x


def equal(model: Any, by_hand: Callable[[Any, Any], Any], *terms: Any) -> None:
    """Value and gradient with respect to every variable are those of ``by_hand(variables, x)``."""
    (variables, x), reg = made(model), Regularizer(*terms)
    due, slopes = jax.jit(jax.value_and_grad(by_hand))(variables, x)
    got, ours = jax.jit(jax.value_and_grad(lambda v: reg.apply(model, v, x)[1].total))(variables)
    assert abs(got - due) <= TOLERANCE * abs(due)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(slopes)) > 0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(slopes), strict=True):
        assert jnp.abs(a - b).max() <= TOLERANCE * jnp.maximum(jnp.abs(b).max(), due)


def size(x: Any) -> Any:
    """Σ|x|, with the gradient 0 at 0 that PyTorch gives and that of ``jnp.abs`` is not."""
    return (jnp.sign(x) * x).sum()


def kernels(variables: Any) -> list[Any]:
    return [variables["params"][name]["kernel"] for name in WEIGHTS]


def test_1_hidden_layers_returned_from_call() -> None:
    """The model is not edited to return what it penalises."""
    equal(
        Net(),
        lambda v, x: 0.1 * sum(size(h) for h in Net().apply(v, x, hidden=True)) / len(x),
        L1(0.1).on(activations("relu")),
    )


def test_2_intermediates_that_are_collected() -> None:
    """A module that is called twice counts twice; there is no state to clear or to feed back by mistake."""

    def by_hand(v: Any, x: Any) -> Any:
        _, state = Net().apply(v, x, capture_intermediates=lambda module, _: module.name == "relu")
        return 0.1 * sum(size(h) for h in state["intermediates"]["relu"]["__call__"])

    for _ in range(2):
        equal(Net(), by_hand, L1(0.1).on(activations("relu", per="batch")))


@pytest.mark.parametrize("size_average", [False, True])
def test_3_a_pass_through_module_that_changes_the_gradient(size_average: bool) -> None:
    """Forward is the identity, the loss never sees the value, backward adds λ·sign(x), over n with sizeAverage."""
    scale = 1 / (6 * 4) if size_average else 1.0
    model = Net(penalize=True, scale=scale)
    variables, x = made(Net())
    output, hidden = Net().apply(variables, x, hidden=True)
    np.testing.assert_array_equal(model.apply(variables, x), output)

    def with_penalty(v: Any) -> Any:
        output, hidden = Net().apply(v, x, hidden=True)
        return output.sum() + 0.1 * scale * size(hidden)

    def loss_alone(v: Any) -> Any:
        output: Any = model.apply(v, x)
        return output.sum()

    loss, ours = jax.value_and_grad(loss_alone)(variables)
    total, due = jax.value_and_grad(with_penalty)(variables)
    assert loss == output.sum()
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(due), strict=True):
        assert jnp.abs(a - b).max() <= TOLERANCE * total
    np.testing.assert_array_equal(inject(x, L1(0.1), scale=scale), x)
    _, state = model.apply(variables, x, mutable=["intermediates"])
    (value,) = jax.tree.leaves(state)
    assert abs(value - 0.1 * size(hidden)) <= TOLERANCE * value


def test_4_one_layer_under_l1_another_under_its_norm() -> None:
    """Kernel and bias together; the 2-norm is joint and not squared."""

    def by_hand(v: Any, x: Any) -> Any:
        first, second = (ravel_pytree(v["params"][name])[0] for name in WEIGHTS)
        return 0.1 * size(first) + 0.2 * jnp.linalg.norm(second)

    equal(Net(), by_hand, L1(0.1).on(params("linear1.*")), L2Norm(0.2).on(params("linear2.*", joint=True)))


def test_5_every_parameter() -> None:
    """Biases and gains too."""
    equal(Net(), lambda v, x: 0.1 * sum(map(size, jax.tree.leaves(v["params"]))), L1(0.1).on(params()))


def test_6_names_that_end_in_kernel() -> None:
    """The role says what is meant, whatever the name; the habit from PyTorch is the kernels and the gain."""
    kernels_alone = L1(0.1).on(params(role="kernel"))
    equal(Net(), lambda v, x: 0.1 * sum(map(size, kernels(v))), kernels_alone)
    equal(Net(), lambda v, x: 0.1 * sum(map(size, kernels(v))), L1(0.1).on(params("**.kernel")))
    habit = L1(0.1).on(params(role=("kernel", "scale")))
    equal(Net(), lambda v, x: 0.1 * (sum(map(size, kernels(v))) + size(v["params"]["norm"]["scale"])), habit)


def columns(w: Any) -> Any:
    """The sum of the norms of the kernel's outputs, which are columns in Flax."""
    return jnp.sqrt((w**2).sum(axis=0)).sum()


@pytest.mark.parametrize(
    ("penalty", "by_hand"),
    [
        (L1(0.1), lambda w: 0.1 * size(w)),
        (L2(0.1), lambda w: 0.1 * (w**2).sum()),
        (ElasticNet(0.1, 0.2), lambda w: 0.1 * size(w) + 0.2 * (w**2).sum()),
        (GroupLasso(0.1), lambda w: 0.1 * len(w) ** 0.5 * columns(w)),
        (SparseGroupLasso(0.1, alpha=0.3), lambda w: 0.07 * len(w) ** 0.5 * columns(w) + 0.03 * size(w)),
    ],
    ids=["L1", "L2", "elastic net", "group lasso", "sparse group lasso"],
)
def test_7_an_object_made_once_before_training(penalty: Any, by_hand: Callable[[Any], Any]) -> None:
    """It returns the output as it was, and the penalty alone."""
    equal(Net(), lambda v, x: sum(map(by_hand, kernels(v))), penalty.on(params(role="kernel")))
    variables, x = made(Net())
    output, _ = Regularizer(penalty.on(params(role="kernel"))).apply(Net(), variables, x)
    np.testing.assert_array_equal(output, Net().apply(variables, x))


def test_8_orthogonal_filters() -> None:
    """The squared distance, which is 0 at no other matrix than an orthogonal one."""
    model = nnx.Conv(2, 4, (3, 3), param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    reg, image = Regularizer(Orthogonal(0.1, side="out").on(params("kernel"))), jnp.ones((1, 5, 5, 2))

    def by_hand(model: Any) -> Any:
        w = model.kernel[...].reshape(-1, 4).T
        return 0.1 * ((w @ w.T - jnp.eye(4)) ** 2).sum()

    due, slopes = nnx.value_and_grad(by_hand)(model)
    got, ours = nnx.value_and_grad(lambda model: reg.apply(model, image)[1].total)(model)
    assert abs(got - due) <= TOLERANCE * due
    assert jnp.abs(ours.kernel[...] - slopes.kernel[...]).max() <= TOLERANCE * jnp.abs(slopes.kernel[...]).max()
    assert Orthogonal(1.0, side="out")(jnp.zeros((4, 18))) == 4


def test_9_one_layer_alone() -> None:
    """By name, or by what is left out, or the output of the root."""
    equal(Net(), lambda v, x: 0.1 * (kernels(v)[1] ** 2).sum(), L2(0.1).on(params("linear2.kernel")))
    left = L2(0.1).on(params(role="kernel", exclude="linear1.*"))
    equal(Net(), lambda v, x: 0.1 * (kernels(v)[1] ** 2).sum(), left)
    equal(Net(), lambda v, x: 0.1 * size(Net().apply(v, x)) / len(x), L1(0.1).on(activations("")))


class Functional(nnx.Module):
    """A list of layers, a functional relu that a Tap names, and dropout."""

    def __init__(self, seed: int) -> None:
        rngs = nnx.Rngs(seed)
        self.layers = nnx.List([nnx.Linear(3, 3, param_dtype=jnp.float64, rngs=rngs) for _ in range(3)])
        self.taps = nnx.List([jaxreg.nnx.Tap() for _ in range(3)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any, hidden: bool = False) -> Any:
        outputs = []
        for layer, tap in zip(self.layers, self.taps, strict=True):
            outputs.append(tap(nnx.relu(layer(x))))
            x = self.dropout(outputs[-1])
        return (x, outputs) if hidden else x


def test_10_one_object_before_training_one_term_in_the_loss() -> None:
    """Over three steps of training, with dropout, loss and weights are those of the sums by hand."""
    x = jnp.asarray(np.random.default_rng(1).standard_normal((6, 3)))
    reg = Regularizer(L1(0.1).on(activations("taps.*")), L2(0.01).on(params(role="kernel")))

    def ours(model: Any) -> Any:
        output, penalties = reg.apply(model, x)
        return (output**2).mean() + penalties.total

    def by_hand(model: Any) -> Any:
        output, hidden = model(x, hidden=True)
        decay = sum((layer.kernel[...] ** 2).sum() for layer in model.layers)
        return (output**2).mean() + 0.1 * sum(map(size, hidden)) / len(x) + 0.01 * decay

    models = Functional(0), Functional(0)
    optimizers = [nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param) for model in models]
    for _ in range(3):
        values = []
        for model, optimizer, loss in zip(models, optimizers, (ours, by_hand), strict=True):
            value, slopes = nnx.jit(nnx.value_and_grad(loss))(model)
            optimizer.update(model, slopes)
            values.append(float(value))
        assert abs(values[0] - values[1]) <= TOLERANCE * values[1]
    for a, b in zip(*(jax.tree.leaves(nnx.state(model, nnx.Param)) for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE)
