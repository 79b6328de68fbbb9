"""The networks in PyTorch: named modules, channel-first."""

from __future__ import annotations

from torch import Tensor, nn

from parity_tests.models.networks import Layer, Network
from parity_tests.models.reference import EPSILON


def make(layer: Layer) -> nn.Module | None:
    """The module of a layer, or None where it is a function."""
    if layer.kind == "linear":
        return nn.Linear(layer.sizes[1], layer.sizes[0])
    if layer.kind == "conv":
        return nn.Conv2d(layer.sizes[1], layer.sizes[0], layer.sizes[2], padding=1)
    if layer.kind == "norm":
        return nn.BatchNorm2d(layer.sizes[0], eps=EPSILON)
    return nn.ReLU() if layer.kind == "relu" else None


class Net(nn.Module):
    """The layers one after the other."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.order = [layer.name for layer in network.layers]
        for layer in network.layers:
            if module := make(layer):
                self.add_module(layer.name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        for name in self.order:
            x = self.get_submodule(name)(x) if hasattr(self, name) else x.mean((2, 3))
        return x
