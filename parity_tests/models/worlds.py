"""The three worlds: each builds the network as its users would, runs it under the regularizer, reads gradients back.

Porting is one function each way: PyTorch keeps kernels as ``out, in, k0, k1`` and images channel-first, Flax keeps
kernels as ``k0, k1, in, out`` and images feature-last.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from parity_tests.backends import package, require
from parity_tests.models.networks import Network, Weights
from parity_tests.models.reference import Outcome
from parity_tests.models.terms import STEP, TermSpec
from parity_tests.precision import Array

TORCH_LEAVES = {"kernel": "weight", "bias": "bias", "scale": "weight"}
Terms = tuple[TermSpec, ...]
Masks = dict[str, np.ndarray]


def bound(m: ModuleType, terms: Terms, layout: tuple[Any, ...], masks: Masks, array: Callable[[Any], Any]) -> Any:
    """The regularizer with its run-time values, those masks among them that a term uses."""
    regularizer = m.Regularizer(*(term.build(m, layout) for term in terms))
    used = {term.given["mask"] for term in terms if "mask" in term.given}
    weights = {term.name: term.weight for term in terms if term.weight != 1.0}
    return regularizer.at(step=STEP, weights=weights, masks={name: array(masks[name]) for name in used})


def outcome(loss: Any, penalties: Any, gradients: Weights, canonical: dict[str, str]) -> Outcome:
    """What a pass gave, as numbers under canonical names."""
    layers = {
        term: {str(canonical.get(path, path)): float(value.item()) for path, value in found.items()}
        for term, found in penalties.layers.items()
    }
    terms = {term: value.item() for term, value in penalties.terms.items()}
    return Outcome(loss.item(), penalties.total.item(), terms, layers, gradients)


def run_torch(network: Network, w: Weights, x: Array, labels: np.ndarray, terms: Terms, masks: Masks) -> Outcome:
    """PyTorch, eager, in training mode."""
    module = package("torch")
    import torch

    from parity_tests.models.torch_net import Net

    names = {f"{name.rsplit('.', 1)[0]}.{TORCH_LEAVES[name.rsplit('.', 1)[1]]}": name for name in w}
    model = Net(network).double()
    model.load_state_dict({own: torch.from_numpy(w[name]) for own, name in names.items()}, strict=False)
    inputs = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    reg = bound(module, terms, ("sample", "feature", ...), masks, torch.from_numpy)
    scores, penalties = reg.apply(model, inputs)
    loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels)) + penalties.total
    parameters = dict(model.named_parameters())
    assert parameters.keys() == names.keys()
    slopes = torch.autograd.grad(loss, list(parameters.values()))
    gradients = {names[own]: slope.numpy() for own, slope in zip(parameters, slopes, strict=True)}
    return outcome(loss, penalties, gradients, names)


def to_flax(kernel: Array) -> Array:
    """``out, in, k0, k1`` to ``k0, k1, in, out``; vectors as they are."""
    return kernel if kernel.ndim == 1 else np.moveaxis(kernel, (0, 1), (-1, -2))


def from_flax(kernel: Any) -> Array:
    """The way back."""
    array = np.asarray(kernel)
    return array if array.ndim == 1 else np.moveaxis(array, (-1, -2), (0, 1))


def cross_entropy(scores: Any, labels: Any) -> Any:
    """The mean over the batch, as in the reference."""
    import optax

    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def run_linen(
    network: Network, w: Weights, x: Array, labels: np.ndarray, terms: Terms, masks: Masks, compiled: bool = False
) -> Outcome:
    """Flax linen, in training mode; with ``compiled`` loss and gradient in one ``jax.jit``."""
    module = package("jax")
    import jax
    import jax.numpy as jnp

    from parity_tests.models.linen_net import Net

    with jax.enable_x64(True):
        model = Net(network)
        variables = dict(jax.jit(model.init)(jax.random.key(0), jnp.asarray(x)))
        filled = jax.tree.map_with_path(lambda path, _: jnp.asarray(to_flax(w[joined(path)])), variables["params"])
        reg = bound(module, terms, ("sample", ..., "feature"), masks, jnp.asarray)

        def loss(parameters: Any) -> Any:
            given = variables | {"params": parameters}
            (scores, _), penalties = reg.apply(model, given, jnp.asarray(x), mutable=["batch_stats"])
            return cross_entropy(scores, labels) + penalties.total, penalties

        step = jax.value_and_grad(loss, has_aux=True)
        (value, penalties), slopes = (jax.jit(step) if compiled else step)(filled)
        gradients = {joined(path): from_flax(leaf) for path, leaf in jax.tree.leaves_with_path(slopes)}
        return outcome(value, penalties, gradients, {})


def joined(path: Any) -> str:
    """A path in a tree as a dotted name."""
    return ".".join(str(getattr(key, "key", key)) for key in path)


def run_nnx(
    network: Network, w: Weights, x: Array, labels: np.ndarray, terms: Terms, masks: Masks, compiled: bool = False
) -> Outcome:
    """Flax nnx, in training mode; with ``compiled`` loss and gradient in one ``nnx.jit``."""
    module = package("jax")
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from parity_tests.models.nnx_net import Net

    with jax.enable_x64(True):
        model = Net(network)
        for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param)):
            getattr(getattr(model, str(path[0])), str(path[1])).set_value(jnp.asarray(to_flax(w[joined(path)])))
        reg = bound(module, terms, ("sample", ..., "feature"), masks, jnp.asarray)

        def loss(network: Any) -> Any:
            scores, penalties = reg.apply(network, jnp.asarray(x))
            return cross_entropy(scores, labels) + penalties.total, penalties

        step = nnx.value_and_grad(loss, has_aux=True)
        (value, penalties), slopes = (nnx.jit(step) if compiled else step)(model)
        flat = nnx.to_flat_state(slopes)
        gradients = {joined(path): from_flax(leaf.get_value()) for path, leaf in flat}
        return outcome(value, penalties, gradients, {})


WORLDS: dict[str, tuple[str, Callable[..., Outcome]]] = {
    "torch": ("torch", run_torch),
    "linen": ("jax", run_linen),
    "linen-jit": ("jax", lambda *given: run_linen(*given, compiled=True)),
    "nnx": ("jax", run_nnx),
    "nnx-jit": ("jax", lambda *given: run_nnx(*given, compiled=True)),
}


def run(world: str, *given: Any) -> Outcome:
    """Run a network in a world; skips where its framework is absent."""
    framework, function = WORLDS[world]
    require(framework)
    return function(*given)
