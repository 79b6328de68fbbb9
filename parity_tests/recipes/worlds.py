"""A recipe's line in every world: put on a model that holds, or outputs, the array it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from parity_tests.backends import package
from parity_tests.models.worlds import from_flax, to_flax
from parity_tests.precision import Array
from parity_tests.recipes.figures import Figures

Given = Mapping[str, float]


def term(module: Any, line: str, given: Given) -> Any:
    """The line of the page, evaluated as a user's code: the package's names, and numbers for the Greek letters."""
    return eval(line, {**vars(module), **given})


# Which tokens count where a line names a mask; powers of two, for what a library counts in float32.
PADDING = np.array([[1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0]])


def bound(module: Any, line: str, given: Given, mask: Array, array: Callable[[Any], Any]) -> Any:
    """A regularizer of the line's term alone, with the mask where the line names one."""
    reg = module.Regularizer(term(module, line, given))
    return reg.at(masks={"pad": array(mask)}) if "mask=" in line else reg


def layer(line: str) -> str:
    """The name of the module that an activation line is about."""
    found = re.search(r'activations\("(\w+)"', line)
    assert found, line
    return found[1]


def run_torch(line: str, given: Given, x: Array, mask: Array = PADDING) -> Figures:
    """PyTorch: the array is a parameter of a layer of its rank, or what a layer with the identity as kernel outputs."""
    module = package("torch")
    import torch
    from torch import nn

    reg = bound(module, line, given, mask, torch.tensor)
    tensor = torch.tensor(x, requires_grad=True)
    if "activations(" in line:
        model = nn.ModuleDict({layer(line): nn.Linear(x.shape[-1], x.shape[-1], bias=False).double()})
        model[layer(line)].weight.data = torch.eye(x.shape[-1], dtype=torch.float64)
        model.forward = model[layer(line)].__call__
        _, penalties = reg.apply(model, tensor)
    else:
        model = _torch_layer(nn, x)
        tensor = model.weight
        tensor.data = torch.tensor(x)
        _, penalties = reg.apply(model, torch.ones(2, *_torch_input(x), dtype=torch.float64))
    (gradient,) = torch.autograd.grad(penalties.total, [tensor])
    assert penalties.total.dtype == gradient.dtype == torch.float64
    return Figures(penalties.total.item(), gradient.numpy())


def _torch_layer(nn: Any, x: Array) -> Any:
    if x.ndim == 1:
        return nn.BatchNorm1d(x.shape[0]).double()
    if x.ndim == 2:
        return nn.Linear(x.shape[1], x.shape[0], bias=False).double()
    return nn.Conv2d(x.shape[1], x.shape[0], x.shape[2:], bias=False).double()


def _torch_input(x: Array) -> tuple[int, ...]:
    return (x.shape[0],) if x.ndim == 1 else x.shape[1:]


def run_linen(line: str, given: Given, x: Array, mask: Array = PADDING) -> Figures:
    """Flax linen, as PyTorch."""
    module = package("jax")
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    class Holder(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dense(x.shape[-1], use_bias=False, param_dtype=x.dtype, name=layer(line))(x)

    with jax.enable_x64(True):
        reg = bound(module, line, given, mask, jnp.asarray)
        if "activations(" in line:
            model, variables = Holder(), {"params": {layer(line): {"kernel": jnp.eye(x.shape[-1])}}}
            return _differentiated(jax, lambda a: reg.apply(model, variables, a)[1].total, x)
        model, inputs = _linen_layer(nn, x), jnp.ones(_flax_input(x))
        variables = jax.jit(model.init)(jax.random.key(0), inputs)
        name = "scale" if x.ndim == 1 else "kernel"

        def loss(a: Any) -> Any:
            filled = {**variables, "params": {**variables["params"], name: a}}
            return reg.apply(model, filled, inputs)[1].total

        return _of_kernel(jax, loss, x)


def _linen_layer(nn: Any, x: Array) -> Any:
    if x.ndim == 1:
        return nn.BatchNorm(use_running_average=True, param_dtype=x.dtype)
    options = {"use_bias": False, "param_dtype": x.dtype}
    return nn.Dense(len(x), **options) if x.ndim == 2 else nn.Conv(len(x), x.shape[2:], **options)


def _flax_input(x: Array) -> tuple[int, ...]:
    return (2, len(x)) if x.ndim == 1 else (2, *x.shape[2:], x.shape[1])


def run_nnx(line: str, given: Given, x: Array, mask: Array = PADDING) -> Figures:
    """Flax nnx, as PyTorch."""
    module = package("jax")
    import jax
    import jax.numpy as jnp
    from flax import nnx

    class Holder(nnx.Module):
        def __init__(self) -> None:
            inner = nnx.Linear(x.shape[-1], x.shape[-1], use_bias=False, param_dtype=x.dtype, rngs=nnx.Rngs(0))
            inner.kernel.set_value(jnp.eye(x.shape[-1]))
            setattr(self, layer(line), inner)

        def __call__(self, x: Any) -> Any:
            return getattr(self, layer(line))(x)

    with jax.enable_x64(True):
        reg = bound(module, line, given, mask, jnp.asarray)
        if "activations(" in line:
            model = Holder()
            return _differentiated(jax, lambda a: reg.apply(model, a)[1].total, x)
        graph, parameter, rest = nnx.split(_nnx_layer(nnx, x), _named("scale" if x.ndim == 1 else "kernel"), ...)
        inputs = jnp.ones(_flax_input(x))

        def loss(a: Any) -> Any:
            filled = jax.tree.map(lambda _: a, parameter)
            return reg.apply(nnx.merge(graph, filled, rest), inputs)[1].total

        return _of_kernel(jax, loss, x)


def _nnx_layer(nnx: Any, x: Array) -> Any:
    options = {"param_dtype": x.dtype, "rngs": nnx.Rngs(0)}
    if x.ndim == 1:
        return nnx.BatchNorm(len(x), use_running_average=True, **options)
    if x.ndim == 2:
        return nnx.Linear(x.shape[1], x.shape[0], use_bias=False, **options)
    return nnx.Conv(x.shape[1], x.shape[0], x.shape[2:], use_bias=False, **options)


def _named(name: str) -> Callable[..., bool]:
    """Chooses one variable of a layer."""
    return lambda path, _: path[-1] == name


def _differentiated(jax: Any, loss: Callable[..., Any], x: Array) -> Figures:
    """Value and gradient, under ``jax.jit``."""
    value, gradient = jax.jit(jax.value_and_grad(loss))(jax.numpy.asarray(x))
    assert value.dtype == gradient.dtype == np.float64
    return Figures(value.item(), np.asarray(gradient))


def _of_kernel(jax: Any, loss: Callable[..., Any], x: Array) -> Figures:
    """Value and gradient, there in Flax's layout and back in the canonical one."""
    found = _differentiated(jax, loss, to_flax(x))
    return Figures(found.value, from_flax(found.gradient))


WORLDS: dict[str, Callable[..., Figures]] = {
    "torch": run_torch,
    "linen": run_linen,
    "nnx": run_nnx,
}
