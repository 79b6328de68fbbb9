"""Linen models of the tests: blocks that name their activation, and what lifted transforms make of them."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from jaxreg.linen import Tap

scan: Any = nn.scan  # their types take fewer kinds of axes than they do
vmap: Any = nn.vmap


class Block(nn.Module):
    """Dense, relu, and a name for what comes out."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return Tap(name="act")(nn.relu(nn.Dense(4, name="dense")(x)))


class Sower(nn.Module):
    """Sows a value of its own, normalises, and is called through more than one method."""

    @nn.compact
    def __call__(self, x: Any, train: bool = True) -> Any:
        x = nn.BatchNorm(use_running_average=not train, name="norm")(nn.Dense(4, name="dense")(x))
        self.sow("intermediates", "hidden", x)
        return Tap(name="act")(nn.relu(x))

    def encode(self, x: Any) -> Any:
        return 2 * self(x)


class Step(nn.Module):
    """A block as the body of a scan."""

    @nn.compact
    def __call__(self, x: Any, _: Any) -> Any:
        return Block(name="block")(x), None


class Stack(nn.Module):
    """Three blocks in a scan that declares what it is given."""

    axes: Any
    keywords: Any = None
    body: Any = Step

    @nn.compact
    def __call__(self, x: Any) -> Any:
        scanned = scan(
            self.body,
            variable_axes={"params": 0, **self.axes},
            split_rngs={"params": True},
            length=3,
            **(self.keywords or {}),
        )
        return scanned(name="steps")(x, None)[0]


class Holder(nn.Module):
    """A module made by ``make``, under the name ``inner``."""

    make: Any

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return self.make(name="inner")(x)


def layers(variables: Any) -> list[Any]:
    """The parameters of each layer of a ``Stack``, as those of a ``Block``."""
    stacked = variables["params"]["steps"]["block"]
    return [{"params": jax.tree.map(lambda a, i=i: a[i], stacked)} for i in range(3)]


def unrolled(variables: Any, x: Any) -> list[Any]:
    """The output of each layer of a ``Stack``, without a scan."""
    outputs = []
    for layer in layers(variables):
        x = Block().apply(layer, x)
        outputs.append(x)
    return outputs
