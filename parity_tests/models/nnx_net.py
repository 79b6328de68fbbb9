"""The networks in Flax nnx: named attributes, feature-last; the outputs of relu, a function, are named by a Tap."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxreg.nnx import Tap
from parity_tests.models.networks import Layer, Network
from parity_tests.models.reference import EPSILON


def make(layer: Layer, rngs: nnx.Rngs) -> Any:
    """The module of a layer, or None where it is a function that nobody names."""
    sizes = layer.sizes
    if layer.kind == "linear":
        return nnx.Linear(sizes[1], sizes[0], param_dtype=jnp.float64, rngs=rngs)
    if layer.kind == "conv":
        return nnx.Conv(sizes[1], sizes[0], sizes[2:], param_dtype=jnp.float64, rngs=rngs)
    if layer.kind == "norm":
        norm = nnx.BatchNorm(sizes[0], epsilon=EPSILON, use_fast_variance=False, param_dtype=jnp.float64, rngs=rngs)
        for statistic in (norm.mean, norm.var):  # made in float32 whatever the parameters are, and updated in float64
            statistic.set_value(statistic.get_value().astype(jnp.float64))
        return norm
    return Tap() if layer.kind == "relu" else None


class Net(nnx.Module):
    """The layers one after the other."""

    def __init__(self, network: Network) -> None:
        rngs = nnx.Rngs(0)
        self.kinds = tuple((layer.name, layer.kind) for layer in network.layers)
        for layer in network.layers:
            if module := make(layer, rngs):
                setattr(self, layer.name, module)

    def __call__(self, x: Any) -> Any:
        """Scores."""
        for name, kind in self.kinds:
            if kind == "relu":
                x = nnx.relu(x)
            x = x.mean((1, 2)) if kind == "mean" else getattr(self, name)(x)
        return x
