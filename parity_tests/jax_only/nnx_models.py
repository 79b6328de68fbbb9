"""Nnx models of the tests: blocks that name their activation, and what transforms make of them."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxreg.nnx import Tap
from parity_tests.jax_only.common import close

capture: Any = nnx.capture  # its types do not know that it returns a function


class Block(nnx.Module):
    """Linear, relu, and a name for what comes out."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(4, 4, rngs=rngs)
        self.act = Tap()

    def __call__(self, x: Any) -> Any:
        return self.act(nnx.relu(self.dense(x)))


class Two(nnx.Module):
    """Two blocks."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = Block(rngs)
        self.second = Block(rngs)

    def __call__(self, x: Any) -> Any:
        return self.second(self.first(x))


@nnx.vmap(in_axes=0, out_axes=0)
def stacked_blocks(rngs: nnx.Rngs) -> Block:
    """Blocks stacked along their leading axis."""
    return Block(rngs)


class Stack(nnx.Module):
    """Three blocks in a scan, with or without remat."""

    def __init__(self, rngs: nnx.Rngs, remat: bool = False) -> None:
        self.blocks = stacked_blocks(rngs.split(3))
        self.remat = remat

    def __call__(self, x: Any) -> Any:
        def step(x: Any, block: Block) -> Any:
            return block(x)

        body = nnx.remat(step) if self.remat else step
        return nnx.scan(body, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.blocks)


def unrolled(model: Stack, x: Any) -> list[Any]:
    """The output of each layer of a ``Stack``, without a scan."""
    graph, state = nnx.split(model.blocks)
    outputs = []
    for i in range(3):
        x = nnx.merge(graph, jax.tree.map(lambda a, i=i: a[i], state))(x)
        outputs.append(x)
    return outputs


def snapshot(model: nnx.Module) -> Any:
    """All that a pass could leave behind: classes, attributes and their statuses, and the graph."""
    modules = [
        (type(module), sorted(vars(module)), dict(vars(module)["_pytree__nodes"]))
        for _, module in nnx.iter_modules(model)
    ]
    return modules, nnx.graphdef(model), jax.tree.structure(nnx.state(model))


def gradients_match(model: nnx.Module, loss: Any, plain: Any) -> None:
    """Two losses of a model have the same value and gradient."""
    (a, da), (b, db) = nnx.value_and_grad(loss)(model), nnx.value_and_grad(plain)(model)
    close(a, b)
    jax.tree.map(lambda g, h: np.testing.assert_allclose(g, h, rtol=1e-5, atol=1e-5), da, db)
