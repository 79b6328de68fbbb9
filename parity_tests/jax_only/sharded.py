"""Eight devices against one, in float64. A program of its own: how many devices there are is settled as jax starts.

Prints one line per case as JSON: the largest relative error of loss and gradients, or how often data are moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxreg
from parity_tests.jax_only import linen_models, nnx_models

PER = ("batch", "example", "position", "element")
AXIS = "data"
Loss = Callable[[Any, Any, Any, Any], Any]


def worlds(x: Any) -> Iterator[tuple[str, Any, Callable[..., Any]]]:
    """Each world's parameters in float64 and its (regularizer, parameters, x) -> penalties."""
    wide = partial(jax.tree.map, lambda a: a.astype(jnp.float64))
    block = linen_models.Block()
    yield "linen", wide(block.init(jax.random.key(1), x)), lambda reg, v, x: reg.apply(block, v, x)[1]
    graph, state = nnx.split(nnx_models.Block(nnx.Rngs(0)))
    yield "nnx", wide(state), lambda reg, v, x: reg.apply(nnx.merge(graph, v), x)[1]


def regularizer(per: Any, masked: bool) -> jaxreg.Regularizer:
    """An activation term and one of the parameters, which are the same on every device."""
    act = jaxreg.activations(
        "act",
        per=per,
        mask="m" if masked else None,
        layout=("sample", "p0", "feature"),
    )
    return jaxreg.Regularizer(
        jaxreg.ElasticNet(0.3, 0.7).on(act, name="s"), jaxreg.GroupLasso(0.1).on(jaxreg.params(role="kernel"), name="g")
    )


def error(found: Any, expected: Any) -> float:
    """The largest normwise relative error of a tree."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return max(float(np.linalg.norm(np.ravel(a - b)) / max(np.linalg.norm(np.ravel(b)), 1e-30)) for a, b in pairs)


def cases(mesh: Any, x: Any, mask: Any) -> Iterator[tuple[str, float]]:
    """The error of every case."""
    shard = partial(jax.shard_map, mesh=mesh, in_specs=(P(), P(AXIS), P(AXIS)))
    for world, variables, penalties in worlds(x[:1]):
        for per in PER if world == "linen" else ("example",):  # past the capture both worlds run the same code
            for masked in (False, True):
                reg = regularizer(per, masked)

                def loss(
                    v: Any,
                    x: Any,
                    m: Any,
                    axis_name: Any = None,
                    reg: Any = reg,
                    masked: bool = masked,
                    of: Any = penalties,
                ) -> Any:
                    return of(reg.at(masks={"m": m} if masked else None, axis_name=axis_name), v, x).total

                expected = jax.value_and_grad(loss)(variables, x, mask)
                split = partial(loss, axis_name=AXIS)
                name = f"{world} {per}{' masked' if masked else ''}"
                outside = jax.jit(jax.value_and_grad(shard(split, out_specs=P())))
                inside = jax.jit(shard(jax.value_and_grad(split), out_specs=P()))
                yield f"{name} gradient of shard_map", error(outside(variables, x, mask), expected)
                yield f"{name} gradient in shard_map", error(inside(variables, x, mask), expected)
                named = [jax.device_put(a, NamedSharding(mesh, P(AXIS))) for a in (x, mask)]
                spread = jax.device_put(variables, NamedSharding(mesh, P()))
                yield f"{name} NamedSharding", error(jax.jit(jax.value_and_grad(loss))(spread, *named), expected)


def moves(mesh: Any) -> Iterator[tuple[str, float]]:
    """How many operations of a step move the batch from device to device: where it is summed in blocks, of an odd
    number, of a length that 8,192 does not divide, and of tokens; and where the largest of each vector are chosen.
    """
    sums, chosen = jaxreg.Decorrelation(1.0), jaxreg.LoadBalance(1.0, top_k=2)
    for penalty, shape in ((sums, (3 * 8192, 8)), (sums, (20_000, 8)), (sums, (16, 577, 8)), (chosen, (16, 3, 8))):
        axes = ("sample", *("p0",)[: len(shape) - 2], "feature")
        x = jax.device_put(jnp.ones(shape, jnp.float32), NamedSharding(mesh, P(AXIS)))
        step = jax.jit(jax.value_and_grad(partial(penalty, axes=axes)))
        text = str(step.lower(x).compile().as_text())
        number = len(re.findall(r" (?:all-gather|all-to-all|collective-permute)(?:-start)?\(", text))
        yield f"moves {type(penalty).__name__} {shape}", number


def main() -> None:
    """All cases, with masks of which some shards keep everything and some nothing."""
    jax.config.update("jax_enable_x64", True)
    mesh = Mesh(np.array(jax.devices()), (AXIS,))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 3, 4)))
    mask = jnp.asarray(np.arange(48).reshape(16, 3) % 7 > np.arange(16)[:, None] // 3)
    for name, worst in cases(mesh, x, mask):
        print(json.dumps([name, worst]))
    for name, number in moves(mesh):
        print(json.dumps([name, number]))


if __name__ == "__main__":
    main()
