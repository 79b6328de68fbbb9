"""Capture: which of the two Flax worlds a model is of. Each world has a file of its own beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax.linen import Module as LinenModule
from flax.nnx import Module as NnxModule

from . import linen, nnx
from ._spec.errors import sentence
from ._spec.terms import Term
from .result import Penalties, Values


def run(
    terms: tuple[Term, ...], values: Values, model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Penalties]:
    """One pass of a model and its penalties."""
    if isinstance(model, NnxModule):
        return nnx.run(terms, values, model, args, kwargs)
    if isinstance(model, LinenModule):
        return linen.run(terms, values, model, args, kwargs)
    raise TypeError(
        sentence("Regularizer.apply", "model", "a flax.linen.Module or flax.nnx.Module", type(model).__name__)
    )
