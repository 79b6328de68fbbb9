"""A Transformer block as each framework's own layers build it, filled from one set of weights.

Canonical weights (``out, in`` matrices by name) go into each model in native form; ``*_back`` reads gradients back into
the canonical one, so that the comparison knows nothing of layouts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

TOKENS, WIDTH, HEADS, CLASSES = 11, 6, 2, 3

Weights = dict[str, np.ndarray]


def weights(draw: np.random.Generator) -> Weights:
    """Embedding, one attention block with its normalisation, and a head."""
    projections = dict.fromkeys(("query", "key", "value", "out"), (WIDTH, WIDTH))
    shapes = {"embed": (WIDTH, TOKENS), **projections, **{f"{name}_bias": (WIDTH,) for name in projections}}
    shapes |= {"gain": (WIDTH,), "shift": (WIDTH,), "head": (CLASSES, WIDTH), "head_bias": (CLASSES,)}
    return {name: 0.5 * draw.normal(size=shape) for name, shape in shapes.items()}


def torch_model(weights: Weights) -> Any:
    """``embed``, ``norm``, ``attention``, ``tap``, ``head``."""
    import torch
    from torch import nn

    from torchreg import Tap

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm, self.tap = nn.Embedding(TOKENS, WIDTH), nn.LayerNorm(WIDTH, eps=1e-6), Tap()
            self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
            self.head = nn.Linear(WIDTH, CLASSES)

        def forward(self, tokens: Any) -> Any:
            x = self.embed(tokens)
            h = self.norm(x)
            return self.head(self.tap(torch.tanh(x + self.attention(h, h, h, need_weights=False)[0])))

    model = Model().double()
    names = ("query", "key", "value")
    native = {
        "embed.weight": weights["embed"].T,
        "norm.weight": weights["gain"],
        "norm.bias": weights["shift"],
        "attention.in_proj_weight": np.concatenate([weights[name] for name in names]),
        "attention.in_proj_bias": np.concatenate([weights[f"{name}_bias"] for name in names]),
        "attention.out_proj.weight": weights["out"],
        "attention.out_proj.bias": weights["out_bias"],
        "head.weight": weights["head"],
        "head.bias": weights["head_bias"],
    }
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in native.items()})
    return model


def torch_back(found: Weights) -> Weights:
    """PyTorch's arrays by native name, canonical."""
    back = {
        "embed": found["embed.weight"].T,
        "gain": found["norm.weight"],
        "shift": found["norm.bias"],
        "out": found["attention.out_proj.weight"],
        "out_bias": found["attention.out_proj.bias"],
        "head": found["head.weight"],
        "head_bias": found["head.bias"],
    }
    for suffix, native in (("", "attention.in_proj_weight"), ("_bias", "attention.in_proj_bias")):
        for name, block in zip(("query", "key", "value"), np.split(found[native], 3), strict=True):
            back[f"{name}{suffix}"] = block
    return back


def linen_model() -> Any:
    """``embed``, ``norm``, ``attention``, ``tap``, ``head``."""
    import jax.numpy as jnp
    from flax import linen as nn

    from jaxreg.linen import Tap

    class Model(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any) -> Any:
            x = nn.Embed(TOKENS, WIDTH, name="embed")(tokens)
            h = nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, name="norm")(x)
            attended = nn.MultiHeadDotProductAttention(HEADS, qkv_features=WIDTH, name="attention")(h, h)
            return nn.Dense(CLASSES, name="head")(Tap(name="tap")(jnp.tanh(x + attended)))

    return Model()


def linen_params(weights: Weights) -> dict[str, Any]:
    """The tree of parameters of :func:`linen_model`: heads are axes of their own."""
    attention = {
        name: {
            "kernel": weights[name].T.reshape(WIDTH, HEADS, -1),
            "bias": weights[f"{name}_bias"].reshape(HEADS, -1),
        }
        for name in ("query", "key", "value")
    }
    attention["out"] = {"kernel": weights["out"].T.reshape(HEADS, -1, WIDTH), "bias": weights["out_bias"]}
    return {
        "embed": {"embedding": weights["embed"].T},
        "norm": {"scale": weights["gain"], "bias": weights["shift"]},
        "attention": attention,
        "head": {"kernel": weights["head"].T, "bias": weights["head_bias"]},
    }


def linen_back(tree: Any) -> Weights:
    """A linen tree, canonical."""
    attention = tree["attention"]
    back = {name: attention[name]["kernel"].reshape(WIDTH, WIDTH).T for name in ("query", "key", "value", "out")}
    back |= {f"{name}_bias": attention[name]["bias"].reshape(WIDTH) for name in ("query", "key", "value", "out")}
    back |= {"gain": tree["norm"]["scale"], "shift": tree["norm"]["bias"], "embed": tree["embed"]["embedding"].T}
    back |= {"head": tree["head"]["kernel"].T, "head_bias": tree["head"]["bias"]}
    return {name: np.asarray(array) for name, array in back.items()}


def nnx_model(weights: Weights) -> Any:
    """``embed``, ``norm``, ``attention``, ``tap``, ``head``."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from jaxreg.nnx import Tap

    def attend(query: Any, key: Any, value: Any, **_: Any) -> Any:
        # The default hands over to a fused attention whose softmax is float32 whatever the inputs are.
        scores = jnp.einsum("...qhd,...khd->...hqk", query / jnp.sqrt(1.0 * query.shape[-1]), key)
        return jnp.einsum("...hqk,...khd->...qhd", jax.nn.softmax(scores), value)

    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            double: Any = {"param_dtype": jnp.float64, "rngs": rngs}
            self.embed = nnx.Embed(TOKENS, WIDTH, **double)
            self.norm = nnx.LayerNorm(WIDTH, epsilon=1e-6, use_fast_variance=False, **double)
            self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, attention_fn=attend, **double)
            self.tap, self.head = Tap(), nnx.Linear(WIDTH, CLASSES, **double)

        def __call__(self, tokens: Any) -> Any:
            x = self.embed(tokens)
            return self.head(self.tap(jnp.tanh(x + self.attention(self.norm(x)))))

    model = Model(nnx.Rngs(0))
    nnx.update(model, jax.tree.map(jnp.asarray, linen_params(weights)))
    return model


def nnx_back(state: Any) -> Weights:
    """An nnx state, canonical: its tree is linen's."""
    from flax import nnx

    return linen_back(nnx.to_pure_dict(state))
