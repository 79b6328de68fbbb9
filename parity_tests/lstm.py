"""An LSTM as each framework's own layers build it, filled from one set of weights.

Canonical weights (``out, in`` matrices by name) go into each model in native form; ``*_back`` reads gradients back into
the canonical one, so that the comparison knows nothing of layouts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

TOKENS, WIDTH, HIDDEN, CLASSES = 11, 6, 5, 3
GATES = "ifgo"

Weights = dict[str, np.ndarray]


def weights(draw: np.random.Generator) -> Weights:
    """Embedding, four gates with one bias each, and a head."""
    gates = {f"{side}{g}": (HIDDEN, WIDTH if side == "i" else HIDDEN) for side in "ih" for g in GATES}
    shapes = {"embed": (WIDTH, TOKENS), **gates, **{f"b{g}": (HIDDEN,) for g in GATES}}
    shapes |= {"head": (CLASSES, HIDDEN), "head_bias": (CLASSES,)}
    return {name: 0.5 * draw.normal(size=shape) for name, shape in shapes.items()}


def torch_model(weights: Weights) -> Any:
    """``embed``, ``rnn``, ``head``; the second bias vector of PyTorch's LSTM is zero."""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.rnn = nn.Embedding(TOKENS, WIDTH), nn.LSTM(WIDTH, HIDDEN, batch_first=True)
            self.head = nn.Linear(HIDDEN, CLASSES)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.rnn(self.embed(tokens))[0])

    model = Model().double()
    native = {
        "embed.weight": weights["embed"].T,
        "rnn.weight_ih_l0": np.concatenate([weights[f"i{g}"] for g in GATES]),
        "rnn.weight_hh_l0": np.concatenate([weights[f"h{g}"] for g in GATES]),
        "rnn.bias_ih_l0": np.zeros(4 * HIDDEN),
        "rnn.bias_hh_l0": np.concatenate([weights[f"b{g}"] for g in GATES]),
        "head.weight": weights["head"],
        "head.bias": weights["head_bias"],
    }
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in native.items()})
    return model


def torch_back(found: Weights) -> Weights:
    """PyTorch's arrays by native name, canonical."""
    back = {"embed": found["embed.weight"].T, "head": found["head.weight"], "head_bias": found["head.bias"]}
    for name, prefix in (("weight_ih_l0", "i"), ("weight_hh_l0", "h"), ("bias_hh_l0", "b")):
        for gate, block in zip(GATES, np.split(found[f"rnn.{name}"], 4), strict=True):
            back[f"{prefix}{gate}"] = block
    return back


def linen_model() -> Any:
    """``embed``, ``rnn``, ``head``."""
    import jax.numpy as jnp
    from flax import linen as nn

    class Model(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any) -> Any:
            x = nn.Embed(TOKENS, WIDTH, name="embed")(tokens)
            cell = nn.OptimizedLSTMCell(HIDDEN, param_dtype=jnp.float64, name="cell")
            return nn.Dense(CLASSES, name="head")(nn.RNN(cell, name="rnn")(x))

    return Model()


def linen_params(weights: Weights) -> dict[str, Any]:
    """The tree of parameters of :func:`linen_model`."""
    cell = {f"i{g}": {"kernel": weights[f"i{g}"].T} for g in GATES}
    cell |= {f"h{g}": {"kernel": weights[f"h{g}"].T, "bias": weights[f"b{g}"]} for g in GATES}
    head = {"kernel": weights["head"].T, "bias": weights["head_bias"]}
    return {"embed": {"embedding": weights["embed"].T}, "cell": cell, "head": head}


def linen_back(tree: Any) -> Weights:
    """A linen tree, canonical."""
    back = {f"i{g}": tree["cell"][f"i{g}"]["kernel"].T for g in GATES}
    back |= {f"h{g}": tree["cell"][f"h{g}"]["kernel"].T for g in GATES}
    back |= {f"b{g}": tree["cell"][f"h{g}"]["bias"] for g in GATES}
    back |= {"embed": tree["embed"]["embedding"].T, "head": tree["head"]["kernel"].T, "head_bias": tree["head"]["bias"]}
    return {name: np.asarray(array) for name, array in back.items()}


def nnx_model(weights: Weights) -> Any:
    """``embed``, ``rnn`` (with ``cell``), ``head``; the cell computes all gates at once."""
    import jax.numpy as jnp
    from flax import nnx

    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            double: Any = {"param_dtype": jnp.float64, "rngs": rngs}  # nnx computes in the dtype it was made with
            self.embed = nnx.Embed(TOKENS, WIDTH, **double)
            self.rnn: Any = nnx.RNN(nnx.OptimizedLSTMCell(WIDTH, HIDDEN, **double), rngs=rngs)
            self.head = nnx.Linear(HIDDEN, CLASSES, **double)

        def __call__(self, tokens: Any) -> Any:
            return self.head(self.rnn(self.embed(tokens)))

    model: Any = Model(nnx.Rngs(0))
    model.embed.embedding.set_value(jnp.asarray(weights["embed"].T))
    for side in "ih":
        fused = np.concatenate([weights[f"{side}{g}"].T for g in GATES], axis=1)
        getattr(model.rnn.cell, f"dense_{side}").kernel.set_value(jnp.asarray(fused))
    model.rnn.cell.dense_h.bias.set_value(jnp.asarray(np.concatenate([weights[f"b{g}"] for g in GATES])))
    model.head.kernel.set_value(jnp.asarray(weights["head"].T))
    model.head.bias.set_value(jnp.asarray(weights["head_bias"]))
    return model


def nnx_back(state: Any) -> Weights:
    """An nnx state, canonical."""
    cell = state["rnn"]["cell"]
    back = {
        "embed": state["embed"]["embedding"][...].T,
        "head": state["head"]["kernel"][...].T,
        "head_bias": state["head"]["bias"][...],
    }
    for prefix, array in (
        ("i", cell["dense_i"]["kernel"][...].T),
        ("h", cell["dense_h"]["kernel"][...].T),
        ("b", cell["dense_h"]["bias"][...]),
    ):
        for gate, block in zip(GATES, np.split(np.asarray(array), 4), strict=True):
            back[f"{prefix}{gate}"] = block
    return {name: np.asarray(array) for name, array in back.items()}
