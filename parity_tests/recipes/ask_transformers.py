"""Asks transformers for its losses of mixture-of-experts routers: prints one line of JSON.

The load-balancing loss of Mixtral casts probabilities to float32, whatever its input. It is asked as it is, and once
more with that cast lifted to float64, which leaves its formula: counts in float32 are exact for these inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from transformers.models.mixtral import modeling_mixtral as mixtral
from transformers.models.switch_transformers import modeling_switch_transformers as switch

from parity_tests.precision import Array
from parity_tests.recipes.figures import plain
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import GIVEN
from parity_tests.recipes.worlds import PADDING


def differentiated(loss: Callable[[torch.Tensor], Any], x: Array) -> dict[str, object]:
    """Value and gradient, times the strength of the recipe."""
    tensor = torch.tensor(x, requires_grad=True)
    value = GIVEN["λ"] * loss(tensor)
    (gradient,) = torch.autograd.grad(value, [tensor])
    return plain(value.item(), gradient.numpy())


def of_mixtral(top_k: int, mask: torch.Tensor | None = None) -> Callable[[torch.Tensor], Any]:
    """Mixtral takes a tuple with the logits of all tokens of a layer, flat."""
    return lambda x: mixtral.load_balancing_loss_func((x.reshape(-1, x.shape[-1]),), x.shape[-1], top_k, mask)


def of_layers(x: torch.Tensor) -> Any:
    """As many layers as samples."""
    layers: Any = tuple(x)  # annotated as a tuple of one
    return mixtral.load_balancing_loss_func(layers, x.shape[-1], 2)


def of_switch(x: torch.Tensor) -> Any:
    """Switch takes probabilities and the chosen experts."""
    return switch.load_balancing_loss_func(x.softmax(-1), x.argmax(-1))


def answers() -> dict[str, dict[str, object]]:
    """Every recipe, and what happens where the definitions part."""
    x = arrays()
    mask = torch.from_numpy(PADDING)
    found = {"Mixtral, in float32": differentiated(of_mixtral(2), x["router"])}
    as_float = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double
    try:
        found["Mixtral"] = differentiated(of_mixtral(2), x["router"])
        found["Mixtral, top 1"] = differentiated(of_mixtral(1), x["router"])
        found["Mixtral, two layers"] = differentiated(of_layers, x["router"])
        found["Mixtral, padded"] = differentiated(of_mixtral(2, mask), x["router"])
    finally:
        torch.Tensor.float = as_float
    found["Switch, one group"] = differentiated(of_switch, x["one group"])
    found["Switch, two groups"] = differentiated(of_switch, x["router"])
    found["router z"] = differentiated(switch.router_z_loss_func, x["router"])
    return found


if __name__ == "__main__":
    print(json.dumps(answers()))
