"""The networks and their data: names, kinds and sizes of layers, weights and a batch, in the canonical layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from parity_tests.precision import Array

Kind = Literal["linear", "conv", "norm", "relu", "mean"]
Weights = dict[str, Array]


@dataclass(frozen=True)
class Layer:
    """One layer; ``sizes`` is the shape of its kernel (``out, in, k0, k1``), or its features for a normalisation."""

    name: str
    kind: Kind
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Network:
    """A sequence of layers and the shape of its batch, feature-last."""

    name: str
    layers: tuple[Layer, ...]
    batch: tuple[int, ...]


MLP = Network(
    "mlp",
    (Layer("first", "linear", (8, 6)), Layer("act", "relu"), Layer("second", "linear", (3, 8))),
    batch=(5, 6),
)
CNN = Network(
    "cnn",
    (
        Layer("conv1", "conv", (4, 3, 3, 3)),
        Layer("norm1", "norm", (4,)),
        Layer("act1", "relu"),
        Layer("conv2", "conv", (5, 4, 3, 3)),
        Layer("norm2", "norm", (5,)),
        Layer("act2", "relu"),
        Layer("pool", "mean"),
        Layer("head", "linear", (3, 5)),
    ),
    batch=(4, 6, 5, 3),
)
NETWORKS = {network.name: network for network in (MLP, CNN)}
CLASSES = 3


def weights(network: Network) -> Weights:
    """Random weights under canonical names: ``first.kernel``, ``first.bias``, ``norm1.scale``."""
    rng = np.random.default_rng(1)
    made: Weights = {}
    for layer in network.layers:
        if layer.kind in ("linear", "conv"):
            made[f"{layer.name}.kernel"] = rng.standard_normal(layer.sizes) / np.sqrt(np.prod(layer.sizes[1:]))
            made[f"{layer.name}.bias"] = 0.1 * rng.standard_normal(layer.sizes[:1])
        if layer.kind == "norm":
            made[f"{layer.name}.scale"] = 1 + 0.1 * rng.standard_normal(layer.sizes)
            made[f"{layer.name}.bias"] = 0.1 * rng.standard_normal(layer.sizes)
    return made


def batch(network: Network) -> tuple[Array, np.ndarray]:
    """Inputs, feature-last, and labels."""
    rng = np.random.default_rng(2)
    return rng.standard_normal(network.batch), rng.integers(0, CLASSES, network.batch[0])


def masks(network: Network) -> dict[str, np.ndarray]:
    """A mask of samples, and for images one of positions, with a sample of which nothing counts in each."""
    rng = np.random.default_rng(3)
    rows = np.arange(network.batch[0]) != 1
    if len(network.batch) == 2:
        return {"rows": rows}
    places = rng.random(network.batch[:-1]) < 0.6
    places[2] = False
    return {"rows": rows, "places": places}
