"""Value and gradients of one network in linen and nnx: unpenalised, with the penalty inline, and through jaxreg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

import jaxreg.linen
import jaxreg.nnx
from jaxreg import L1, Regularizer, activations

from . import checks

STRENGTH, HIDDEN = 1e-6, 4
REG = Regularizer(L1(STRENGTH).on(activations("act_*", per="batch"), name="sparsity"))
PLAIN, INLINE, OURS = "unpenalised", "by hand: inline abs().sum()", "reg.apply"


def abs_sum(x: Any) -> Any:
    return STRENGTH * jnp.abs(x).sum()


class Linen(linen.Module):
    """Four hidden layers; returns its scores, and with them what ``size`` makes of every activation."""

    width: int
    size: Callable[[Any], Any] | None = None
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Any) -> Any:
        """Scores, or scores and penalty."""
        penalty: Any = jnp.zeros((), self.dtype)
        for i in range(HIDDEN):
            x = linen.relu(linen.Dense(self.width, name=f"linear_{i}", param_dtype=self.dtype)(x))
            x = jaxreg.linen.Tap(name=f"act_{i}")(x)
            penalty = penalty if self.size is None else penalty + self.size(x)
        x = linen.Dense(self.width, name="last", param_dtype=self.dtype)(x)
        return x if self.size is None else (x, penalty)


class Nnx(nnx.Module):
    """The same in nnx."""

    def __init__(self, width: int, size: Callable[[Any], Any] | None = None, dtype: Any = jnp.float32) -> None:
        rngs = nnx.Rngs(0)
        for i in range(HIDDEN):
            setattr(self, f"linear_{i}", nnx.Linear(width, width, param_dtype=dtype, rngs=rngs))
            setattr(self, f"act_{i}", jaxreg.nnx.Tap())
        self.last, self.size = nnx.Linear(width, width, param_dtype=dtype, rngs=rngs), size

    def __call__(self, x: Any) -> Any:
        """Scores, or scores and penalty."""
        penalty = jnp.zeros((), x.dtype)
        for i in range(HIDDEN):
            x = getattr(self, f"act_{i}")(nnx.relu(getattr(self, f"linear_{i}")(x)))
            penalty = penalty if self.size is None else penalty + self.size(x)
        x = self.last(x)
        return x if self.size is None else (x, penalty)


def linen_loss(model: Linen, way: str, params: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The loss and the penalty in it."""
    if way == OURS:
        output, penalties = REG.apply(model, params, x)
        penalty = penalties.total
    else:
        result: Any = model.apply(params, x)
        output, penalty = (result, jnp.zeros(())) if way == PLAIN else result
    loss = jnp.mean((output - y) ** 2)
    return (loss if way == PLAIN else loss + penalty), penalty


def nnx_loss(graph: Any, way: str, params: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The loss and the penalty in it."""
    model = nnx.merge(graph, params)
    if way == OURS:
        output, penalties = REG.apply(model, x)
        penalty = penalties.total
    else:
        output = model(x)
        output, penalty = (output, jnp.zeros(())) if way == PLAIN else output
    loss = jnp.mean((output - y) ** 2)
    return (loss if way == PLAIN else loss + penalty), penalty


@dataclass
class Program:
    """One candidate: what is compiled, and its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    compiled: Any = None

    def lower(self) -> Any:
        """Traced anew, whatever was traced before."""
        function = self.function
        return jax.jit(lambda *args: function(*args)).lower(*self.arguments)

    def compile(self) -> None:
        """Ahead of time."""
        self.compiled = self.lower().compile()

    def __call__(self) -> Any:
        return jax.block_until_ready(self.compiled(*self.arguments))


def programs(world: str, batch: int, width: int, dtype: Any = jnp.float32) -> dict[str, Program]:
    """The candidates of ``linen`` or of ``nnx``, with equal weights."""
    keys = jax.random.split(jax.random.key(0))
    x, y = (jax.random.normal(key, (batch, width), jnp.float32).astype(dtype) for key in keys)
    found = {}
    for way in (PLAIN, INLINE, OURS):
        size = abs_sum if way == INLINE else None
        if world == "linen":
            model = Linen(width, size, dtype)
            params = jax.tree.map(
                lambda leaf: leaf.astype(dtype), Linen(width).init(jax.random.key(1), x.astype(jnp.float32))
            )
            loss = partial(linen_loss, model, way)
        else:
            graph, params = nnx.split(Nnx(width, size, dtype))
            params = jax.tree.map(lambda leaf: leaf.astype(dtype), nnx.split(Nnx(width))[1])
            loss = partial(nnx_loss, graph, way)
        found[way] = Program(jax.value_and_grad(loss, has_aux=True), (params, x, y))
    return found


def check(world: str, found: dict[str, Program], batch: int, width: int) -> None:
    """The value against the inline sum, each within B(n) of the exact one; the gradients against float64."""
    with jax.enable_x64(True):
        wide = programs(world, batch, width, jnp.float64)[INLINE]
        (_, due), exact = jax.jit(wide.function)(*wide.arguments)
        exact, due = _named(exact), float(due)
    hand = _named(found[INLINE]()[1])
    n = HIDDEN * batch * width
    # The float64 network's activations differ from float32's by the rounding of sums of `width` products.
    forward = HIDDEN * checks.running(width)
    for way in (INLINE, OURS):
        (_, penalty), gradients = found[way]()
        checks.value(f"{world}, {way}", float(penalty), due, checks.pairwise(n) + forward)
        checks.gradients(f"{world}, {way}", _named(gradients), hand, exact)
    inline, ours = (float(found[way]()[0][1]) for way in (INLINE, OURS))
    checks.value(f"{world}, {OURS} beside inline", ours, inline, 2 * checks.pairwise(n))


def _named(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): jax.device_get(leaf) for path, leaf in leaves}
