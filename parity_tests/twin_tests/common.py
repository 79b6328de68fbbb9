"""Small models in both frameworks, and a comparison in one line."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity_tests.backends import require


def needs_both() -> None:
    """Skips where a framework is absent."""
    require("torch")
    require("jax")


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def last(array: np.ndarray) -> np.ndarray:
    """Channel-first to feature-last."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def torch_mlp(eps: float = 1e-6, bias: bool = True) -> Any:
    """``first``, ``norm``, gelu, ``second``, ``third``; the last two square."""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(3, 4), nn.LayerNorm(4, eps=eps)
            self.second, self.third = nn.Linear(4, 4, bias=bias), nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            hidden = torch.nn.functional.gelu(self.norm(self.first(x)), approximate="tanh")
            return self.third(torch.tanh(self.second(hidden)))

    torch.manual_seed(0)
    model = Model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def linen_mlp(eps: float = 1e-6, approximate: bool = True, bias: bool = True) -> Any:
    """The twin, under the names that linen gives."""
    import jax.numpy as jnp
    from flax import linen

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            hidden = linen.LayerNorm(epsilon=eps)(linen.Dense(4)(x))
            hidden = linen.Dense(4, use_bias=bias)(linen.gelu(hidden, approximate=approximate))
            return linen.Dense(4)(jnp.tanh(hidden))

    return Model()


def nnx_mlp(eps: float = 1e-6, approximate: bool = True) -> Any:
    """The twin in nnx, under torch's names."""
    import jax.numpy as jnp
    from flax import nnx

    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first, self.norm = nnx.Linear(3, 4, rngs=rngs), nnx.LayerNorm(4, epsilon=eps, rngs=rngs)
            self.second, self.third = nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 4, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            hidden = nnx.gelu(self.norm(self.first(x)), approximate=approximate)
            return self.third(jnp.tanh(self.second(hidden)))

    return Model(nnx.Rngs(0))


MLP = {"linen": linen_mlp, "nnx": nnx_mlp}
SECOND = {"linen": "Dense_1", "nnx": "second"}


def shaken(model: Any) -> Any:
    """Parameters and statistics that no initialiser would give: every bias counts."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.3 * torch.rand_like(value))
    return model
