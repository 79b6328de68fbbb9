"""Flax twins of Hugging Face models: GPT-2 with its language head and BERT in linen, ResNet in nnx."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx


class GPT2Block(linen.Module):
    """Pre-norm, one projection for query, key and value, a causal mask."""

    heads: int

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width, length = x.shape[-1], x.shape[-2]
        query, key, value = jnp.split(linen.Dense(3 * width)(linen.LayerNorm(epsilon=1e-5)(x)), 3, axis=-1)
        query, key, value = (y.reshape(*y.shape[:-1], self.heads, -1) for y in (query, key, value))
        mask = jnp.tril(jnp.ones((length, length), bool))
        attended = linen.dot_product_attention(query, key, value, mask=mask)
        x = x + linen.Dense(width)(attended.reshape(x.shape))
        hidden = linen.gelu(linen.Dense(4 * width)(linen.LayerNorm(epsilon=1e-5)(x)))
        return x + linen.Dense(width)(hidden)


class GPT2(linen.Module):
    """The scores come from the embedding, turned round."""

    tokens: int
    positions: int
    width: int
    depth: int
    heads: int

    @linen.compact
    def __call__(self, ids: jax.Array) -> jax.Array:
        table = linen.Embed(self.tokens, self.width)
        x = table(ids) + linen.Embed(self.positions, self.width)(jnp.arange(ids.shape[-1])[None])
        for _ in range(self.depth):
            x = GPT2Block(self.heads)(x)
        return table.attend(linen.LayerNorm(epsilon=1e-5)(x))


class Bert(linen.Module):
    """The encoder and the pooler; post-norm, an exact gelu."""

    tokens: int
    positions: int
    width: int
    depth: int
    heads: int

    @linen.compact
    def __call__(self, ids: jax.Array) -> tuple[jax.Array, jax.Array]:
        embed = [linen.Embed(count, self.width) for count in (self.tokens, 2, self.positions)]
        x = embed[0](ids) + embed[1](jnp.zeros_like(ids)) + embed[2](jnp.arange(ids.shape[-1])[None])
        x = linen.LayerNorm(epsilon=1e-12)(x)
        for _ in range(self.depth):
            attended = linen.MultiHeadDotProductAttention(self.heads, qkv_features=self.width)(x)
            x = linen.LayerNorm(epsilon=1e-12)(x + attended)
            hidden = linen.gelu(linen.Dense(2 * self.width)(x), approximate=False)
            x = linen.LayerNorm(epsilon=1e-12)(x + linen.Dense(self.width)(hidden))
        return x, jnp.tanh(linen.Dense(self.width)(x[:, 0]))


class Convolved(nnx.Module):
    """A convolution and its normalisation."""

    def __init__(self, before: int, after: int, size: int, stride: int, rngs: nnx.Rngs) -> None:
        self.convolution = nnx.Conv(
            before, after, (size, size), (stride, stride), padding=size // 2, use_bias=False, rngs=rngs
        )
        self.normalization = nnx.BatchNorm(after, epsilon=1e-5, momentum=0.9, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.normalization(self.convolution(x))


class Residual(nnx.Module):
    """Two convolutions, and a third for the shortcut where the shape changes."""

    def __init__(self, before: int, after: int, stride: int, rngs: nnx.Rngs) -> None:
        self.first = Convolved(before, after, 3, stride, rngs)
        self.second = Convolved(after, after, 3, 1, rngs)
        self.shortcut = Convolved(before, after, 1, stride, rngs) if stride != 1 or before != after else None

    def __call__(self, x: jax.Array) -> jax.Array:
        hidden = self.second(nnx.relu(self.first(x)))
        return nnx.relu(hidden + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nnx.Module):
    """Stem, two stages of one block, head."""

    def __init__(self, widths: tuple[int, int], classes: int, rngs: nnx.Rngs) -> None:
        self.stem = Convolved(3, widths[0], 7, 2, rngs)
        self.blocks = nnx.List([Residual(widths[0], widths[0], 1, rngs), Residual(*widths, 2, rngs)])
        self.head = nnx.Linear(widths[1], classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        padding: Any = ((1, 1), (1, 1))
        x = nnx.max_pool(nnx.relu(self.stem(x)), (3, 3), (2, 2), padding=padding)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))
