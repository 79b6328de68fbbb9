"""The networks in Flax linen: named submodules, feature-last; the outputs of relu, a function, are named by a Tap."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from jaxreg.linen import Tap
from parity_tests.models.networks import Layer, Network
from parity_tests.models.reference import EPSILON


def make(layer: Layer) -> nn.Module | None:
    """The submodule of a layer, or None where it is a function that nobody names."""
    if layer.kind == "linear":
        return nn.Dense(layer.sizes[0], name=layer.name, param_dtype=jnp.float64)
    if layer.kind == "conv":
        return nn.Conv(layer.sizes[0], layer.sizes[2:], name=layer.name, param_dtype=jnp.float64)
    if layer.kind == "norm":
        return nn.BatchNorm(
            use_running_average=False,
            epsilon=EPSILON,
            name=layer.name,
            param_dtype=jnp.float64,
            use_fast_variance=False,
        )
    return Tap(name=layer.name) if layer.kind == "relu" else None


class Net(nn.Module):
    """The layers one after the other."""

    network: Network

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Scores."""
        for layer in self.network.layers:
            if layer.kind == "relu":
                x = nn.relu(x)
            module = make(layer)
            x = module(x) if module else x.mean((1, 2))
        return x
