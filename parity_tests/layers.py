"""Layers of each world as functions from a regularizer to penalties, with one parameter filled from given pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Pieces = list[np.ndarray]
Place = tuple[Callable[[Any], Any], str]
"""From a regularizer to the penalties of one pass; the name of the parameter."""


def torch_layer(
    make: Callable[[Any], Any], leaf: str, native: Callable[[Pieces], np.ndarray], *inputs: tuple[int, ...]
):
    def place(pieces: Pieces) -> Place:
        import torch

        model = make(torch.nn).double()
        with torch.no_grad():
            model.get_parameter(leaf).copy_(torch.from_numpy(native(pieces).copy()))
        given = [torch.ones(shape, dtype=torch.float64) for shape in inputs]
        if isinstance(model, torch.nn.Embedding):
            given = [x.long() for x in given]
        return lambda reg: reg.apply(model, *given)[1], leaf

    return place


def linen_layer(make: Callable[[Any], Any], where: str, native: Callable[[Pieces], Any], *inputs: tuple[int, ...]):
    """``native`` gives the leaf at a dotted path, or a mapping from several paths to leaves (a pattern names them)."""

    def place(pieces: Pieces) -> Place:
        import jax
        import jax.numpy as jnp
        from flax import linen, traverse_util

        model = make(linen)
        given = [jnp.ones(shape) for shape in inputs]
        if isinstance(model, linen.Embed):
            given = [x.astype(int) for x in given]
        if isinstance(model, linen.RNNCellBase):
            given = [model.initialize_carry(jax.random.key(0), inputs[0]), *given]
        shapes = jax.eval_shape(model.init, jax.random.key(0), *given)["params"]
        ones = jax.tree.map(lambda leaf: jnp.asarray(np.ones(leaf.shape, leaf.dtype)), shapes)
        flat: dict[str, Any] = traverse_util.flatten_dict(ones, sep=".")
        filled = native(pieces)
        for path, leaf in (filled if isinstance(filled, dict) else {where: filled}).items():
            assert flat[path].shape == leaf.shape
            flat[path] = jnp.asarray(leaf)
        variables = {"params": traverse_util.unflatten_dict(flat, sep=".")}
        return lambda reg: jax.jit(lambda own: reg.apply(model, own, *given)[1])(variables), where

    return place


def nnx_layer(
    make: Callable[[Any, Any], Any], where: str, native: Callable[[Pieces], np.ndarray], *inputs: tuple[int, ...]
):
    def place(pieces: Pieces) -> Place:
        import jax.numpy as jnp
        from flax import nnx

        model = make(nnx, nnx.Rngs(0))
        given: list[Any] = [jnp.ones(shape) for shape in inputs]
        if isinstance(model, nnx.Embed):
            given = [x.astype(int) for x in given]
        if isinstance(model, nnx.RNNCellBase):
            given = [model.initialize_carry(inputs[0], nnx.Rngs(0)), *given]
        variable: Any = model
        for name in where.split("."):
            variable = getattr(variable, name)
        assert variable.get_value().shape == native(pieces).shape
        variable.set_value(jnp.asarray(native(pieces)))
        return lambda reg: nnx.jit(lambda own: reg.apply(own, *given)[1])(model), where

    return place
