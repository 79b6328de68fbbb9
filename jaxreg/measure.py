"""From one array of a model to one number: the move to canonical axes, the mask, the division by ``per``, the joins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from ._arrays import accumulate, as_mask, check_floating, pieces
from ._spec.errors import sentence
from ._spec.layout import UNKNOWN, Axes, Layout, activation_axes, fitting, move, parameter_axes, stacked, unknown_axes
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term
from .penalty import Penalty
from .result import Scalars
from .walk import ParameterEntry


def parameters(term: Term, target: ParamsTarget, entries: Mapping[str, ParameterEntry]) -> Scalars:
    """The penalties of the chosen parameters, by the name each was chosen under."""
    if target.joint:
        return {"joint": _joint(term, {name: entry.array for name, entry in entries.items()})}
    return {
        name: _parameter(term, target, name, entry.array, entry.layouts[entry.candidate.names.index(name)])
        for name, entry in entries.items()
    }


def _parameter(term: Term, target: ParamsTarget, name: str, x: Any, layout: Layout | None) -> Array:
    """The penalty of one parameter, its canonical pieces joined by sum or mean."""
    check_floating("params", repr(name), x)
    layout = target.layout or stacked(layout, x.ndim)
    if layout is None:
        axes = parameter_axes(x.ndim) if x.ndim < 2 else (UNKNOWN,) * x.ndim
        return term.penalty(x, axes=axes)
    how = move("params", layout, tuple(x.shape))
    values = [term.penalty(piece, axes=how.axes) for piece in pieces(x, how)]
    joined = reduce(add, values)
    return joined / len(values) if target.combine == "mean" else joined


def _joint(term: Term, named: dict[str, Any]) -> Array:
    """The penalty of all matched parameters as one vector."""
    for name, x in named.items():
        check_floating("params", repr(name), x)
    vector = jnp.concatenate([accumulate(x).reshape(-1) for x in named.values()])
    return term.penalty(vector, axes=("joint",))


def activation(
    term: Term, target: ActivationsTarget, name: str, x: Any, layout: Layout | None, mask: Any, axis_name: Any = None
) -> Array:
    """The penalty of one activation of one call, its additive parts divided by what ``per`` says.

    Where the batch is split over a mapped axis, numerator and denominator are summed over it before the division.
    """
    check_floating("activations", repr(name), x)
    layout = target.layout or fitting(layout, x.ndim)
    if layout is None:
        axes = unknown_axes(activation_axes(x.ndim))
    else:
        how = move("activations", layout, tuple(x.shape))
        axes, x = how.axes, pieces(x, how)[0]
    full = _checked(name, mask, x, axes)
    values = []
    for number, part in term.penalty.parts():
        value = part(x, axes=axes, where=mask)
        if part.additive(axes):
            size = _size(target.per or "example", part, axes, tuple(x.shape), full, axis_name)
            value = _everywhere(value, axis_name)
            value = value if isinstance(size, int) and size == 1 else value / size
        elif target.per is not None:
            kind = type(part).__name__
            raise ValueError(sentence("activations", "per", f"None, because {kind} is not additive", target.per))
        elif axis_name is not None:
            value = lax.pmean(value, axis_name)
        values.append(value if number == 1.0 else number * value)
    return reduce(add, values)


def _checked(name: str, mask: Any, x: Array, axes: Axes) -> Array | None:
    if mask is None:
        return None
    full = as_mask(name, mask, x)
    covered = jnp.ndim(mask)
    if UNKNOWN in axes[:covered]:
        hint = "State the axes with layout=, as in layout=('sample', 'feature', '...')."
        raise ValueError(sentence("activations", "layout", f"stated for a mask over {covered} axes", axes, hint))
    return full


def _size(
    per: str, part: Penalty, axes: Axes, shape: tuple[int, ...], mask: Array | None, axis_name: Any
) -> Array | int:
    """What an additive penalty is divided by: only what counts is counted, and at least 1."""
    if per == "batch":
        return 1
    if per == "position" and UNKNOWN in axes:
        hint = "State the axes with layout=, as in layout=('sample', 'feature', '...')."
        raise ValueError(sentence("activations", "layout", "stated for per='position'", axes, hint))
    counted = tuple(i for i, axis in enumerate(axes) if _counts(per, axis))
    summands = [(shape, mask)] if per == "example" else part.summands(shape, axes, mask)
    size = _everywhere(sum(_count(counted, *summand) for summand in summands), axis_name)
    return max(size, 1) if isinstance(size, int) else jnp.maximum(size, 1)


def _count(counted: tuple[int, ...], shape: tuple[int, ...], mask: Array | None) -> Array | int:
    """How many indices along the counted axes have anything unmasked."""
    if mask is None:
        return math.prod([shape[i] for i in counted])
    others = tuple(i for i in range(len(shape)) if i not in counted)
    seen = mask.any(axis=others, keepdims=True) if others else mask
    return seen.sum() * math.prod([shape[i] for i in counted if mask.shape[i] == 1])


def _everywhere(value: Any, axis_name: Any) -> Any:
    """The sum over the mapped axis that splits the batch, where there is one; a static count stays static."""
    return value if axis_name is None else lax.psum(value, axis_name)


def _counts(per: str, axis: str) -> bool:
    return axis == "sample" or per == "element" or (per == "position" and axis[0] == "p")
