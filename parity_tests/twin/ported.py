"""The first step alone: the flax twin with torch's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .flax_side import FlaxSide, flax_side, precision
from .porting import plan, refuse_leftovers
from .sides import Sides, both, inputs
from .torch_side import TorchSide
from .traces import Trace


def prepare(
    models: Sides, variables: Any, batch: Any, dtype: str, train: bool, select: Any, wide: bool
) -> tuple[TorchSide, FlaxSide, tuple[Trace, Trace]]:
    """Both sides, run once."""
    batches, selects = both(batch), both(select)
    torch = TorchSide(models.torch, inputs(batches.torch), dtype, train, selects.torch)
    flax = flax_side(models.flax, variables, inputs(batches.flax), dtype, train, selects.flax, wide)
    return torch, flax, (torch.trace(), flax.trace(abstract=True))


def port(
    torch_model: Any,
    flax_model: Any,
    batch: Any,
    *,
    variables: Any = None,
    names: Mapping[str, str] | None = None,
    ignore: tuple[str, ...] = (),
) -> Any:
    """The flax twin with the weights of a torch module: variables for linen, a copy of the module for nnx.

    Args:
        torch_model: a ``torch.nn.Module``.
        flax_model: a ``flax.linen.Module`` or a ``flax.nnx.Module``.
        batch: what both are called with, or ``Sides(torch=..., flax=...)``: an array, a tuple of arguments, a dict of
            keywords, or a tuple of both. It gives the order of the layers.
        variables: those of a linen module; by default it is initialised.
        names: torch name to flax name, of layers or of parameters, where the order does not pair them.
        ignore: patterns of names, of either side, that need no place.

    Raises:
        PortError: a parameter has no place, or the layers cannot be paired.
    """
    with precision("float64") as wide:
        models = Sides(torch_model, flax_model)
        torch, flax, traces = prepare(models, variables, batch, "float64", False, None, wide)
        made = plan(torch, flax, traces, names or {}, ignore)
        refuse_leftovers(made)
        flax.load(made.ported(torch.arrays(), flax.arrays()))
        arrays = flax.arrays()
    return flax.filled(arrays)
