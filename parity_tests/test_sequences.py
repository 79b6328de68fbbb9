"""The LSTM and the Transformer of both frameworks, under one configuration: penalties, loss and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests import lstm, transformer
from parity_tests.backends import package, require
from parity_tests.options import FULL

DRAW = np.random.default_rng(3)
TOKENS = DRAW.integers(lstm.TOKENS, size=(4, 7))
LABELS = DRAW.integers(lstm.CLASSES, size=(4, 7))
MASK = np.arange(7) < np.array([7, 4, 1, 0])[:, None]
BOUND = 1e-12
MODELS: dict[str, Any] = {"lstm": lstm, "transformer": transformer}
Weights = dict[str, np.ndarray]


def _regularizer(reg: Any, names: dict[str, Any]) -> Any:
    """Groups, orthogonality, masks and every ``per``, with the names of one world."""
    embedded = names["embedded"]

    def hidden(**how: Any) -> Any:
        return reg.activations(names["hidden"], layout=("sample", ..., "feature"), **how)

    return reg.Regularizer(
        reg.GroupLasso(0.1, groups="out").on(reg.params(names["kernels"]), name="rows"),
        reg.GroupLasso(0.1, groups="in", size_weighted=False).on(reg.params(names["kernels"]), name="columns"),
        reg.Orthogonal(0.1).on(reg.params(names["kernels"]), name="orthogonal"),
        reg.GroupLasso(0.1, groups="out").on(reg.params(role="embedding"), name="embedding"),
        reg.L2(0.1).on(reg.params(role="kernel"), name="decay"),
        *(reg.L1(0.1).on(hidden(per=per), name=per) for per in ("batch", "example")),
        *(
            reg.ElasticNet(0.1, 0.2).on(hidden(per=per, mask="pad"), name=f"masked {per}")
            for per in ("batch", "example", "position", "element")
        ),
        reg.L1(0.1).on(reg.activations(embedded, per="position"), name="position"),
        reg.L2(0.1).on(reg.activations(embedded, per="element"), name="element"),
        reg.HoyerSquare(0.1).on(hidden(mask="pad"), name="ratio"),
        reg.GroupLasso(0.1, groups="feature").on(hidden(mask="pad"), name="features"),
        reg.GroupLasso(0.1, groups=("sample", "position")).on(hidden(), name="vectors"),
    )


WORLDS: dict[str, dict[str, dict[str, Any]]] = {
    "lstm": {
        "torch": {"kernels": ("rnn.weight_ih_l0", "rnn.weight_hh_l0"), "hidden": "rnn", "embedded": "embed"},
        "linen": {"kernels": "cell.*.kernel", "hidden": "rnn", "embedded": "embed"},
        "nnx": {"kernels": "rnn.cell.*.kernel", "hidden": "rnn", "embedded": "embed"},
    },
    "transformer": {
        "torch": {
            "kernels": ("attention.in_proj_weight", "attention.out_proj.weight"),
            "hidden": ("attention", "tap"),
            "embedded": "norm",
        },
        "linen": {"kernels": "attention.*.kernel", "hidden": ("attention", "tap"), "embedded": "norm"},
        "nnx": {"kernels": "attention.*.kernel", "hidden": ("attention", "tap"), "embedded": "norm"},
    },
}

Outcome = tuple[float, dict[str, float], Weights]
"""Task loss and penalties, the terms, the gradient of their sum in canonical form."""


def _torch(kind: str, weights: Weights) -> Outcome:
    import torch

    model = MODELS[kind].torch_model(weights)
    regularizer = _regularizer(package("torch"), WORLDS[kind]["torch"]).at(masks={"pad": torch.from_numpy(MASK)})
    output, penalties = regularizer.apply(model, torch.from_numpy(TOKENS))
    task = torch.nn.functional.cross_entropy(output.flatten(0, 1), torch.from_numpy(LABELS).flatten())
    loss = task + penalties.total
    loss.backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    terms = {name: value.item() for name, value in penalties.terms.items()}
    return loss.item(), terms, MODELS[kind].torch_back(gradients)


def _task(output: Any) -> Any:
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(output, LABELS).mean()


def _linen(kind: str, weights: Weights) -> Outcome:
    import jax
    import jax.numpy as jnp

    model = MODELS[kind].linen_model()
    regularizer = _regularizer(package("jax"), WORLDS[kind]["linen"]).at(masks={"pad": jnp.asarray(MASK)})

    def loss(params: Any, bound: Any) -> tuple[Any, Any]:
        output, penalties = bound.apply(model, {"params": params}, jnp.asarray(TOKENS))
        return _task(output) + penalties.total, penalties.terms

    params = jax.tree.map(jnp.asarray, MODELS[kind].linen_params(weights))
    (value, terms), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, regularizer)
    return value.item(), {n: v.item() for n, v in terms.items()}, MODELS[kind].linen_back(gradient)


def _nnx(kind: str, weights: Weights) -> Outcome:
    import jax.numpy as jnp
    from flax import nnx

    model = MODELS[kind].nnx_model(weights)
    regularizer = _regularizer(package("jax"), WORLDS[kind]["nnx"]).at(masks={"pad": jnp.asarray(MASK)})

    def loss(model: Any, bound: Any) -> tuple[Any, Any]:
        output, penalties = bound.apply(model, jnp.asarray(TOKENS))
        return _task(output) + penalties.total, penalties.terms

    (value, terms), gradient = nnx.jit(nnx.value_and_grad(loss, has_aux=True))(model, regularizer)
    return value.item(), {n: v.item() for n, v in terms.items()}, MODELS[kind].nnx_back(gradient)


RUN: dict[str, Callable[[str, Weights], Outcome]] = {"linen": _linen, "nnx": _nnx}


# Each kind of model in one of the worlds, and in the other in the full tier: compiling them is what costs.
PAIRS = [("lstm", "linen"), pytest.param("lstm", "nnx", marks=FULL)]
PAIRS += [("transformer", "nnx"), pytest.param("transformer", "linen", marks=FULL)]


@pytest.mark.parametrize(("kind", "world"), PAIRS)
def test_twins(kind: str, world: str, float64_jax: Any) -> None:
    """Loss, every term and every gradient agree to 1e-12 of their size, with pieces, masks and every ``per``."""
    require("torch")
    weights = MODELS[kind].weights(np.random.default_rng(5))
    loss, terms, gradients = _torch(kind, weights)
    other_loss, other_terms, other_gradients = RUN[world](kind, weights)
    assert other_loss == pytest.approx(loss, rel=BOUND, abs=0)
    assert other_terms == pytest.approx(terms, rel=BOUND, abs=0)
    assert other_gradients.keys() == gradients.keys() == weights.keys()
    whole = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients.values()))
    for name, expected in gradients.items():
        # A softmax does not feel the bias of its keys: that gradient is 0 but for rounding, and has no size of its own.
        size = whole if name == "key_bias" else np.linalg.norm(expected)
        assert np.linalg.norm(other_gradients[name] - expected) <= BOUND * size, name
