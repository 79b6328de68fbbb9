"""From one array of a model to one number: the move to canonical axes, the mask, the division by ``per``, the joins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, reduce
from operator import add
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ._arrays import accumulate, as_mask, check_floating, pieces
from ._spec.errors import sentence
from ._spec.layout import (
    UNKNOWN,
    Axes,
    Layout,
    Move,
    activation_axes,
    fitting,
    move,
    parameter_axes,
    stacked,
    unknown_axes,
)
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term
from .fused import elastic
from .lists import elastics
from .penalties.elementwise import elastic_coefficients, unscaled
from .penalty import Penalty, evaluate
from .result import Found, apart
from .walk import ParameterEntry


def parameters(term: Term, target: ParamsTarget, entries: Mapping[str, ParameterEntry]) -> Found:
    """The penalties of the chosen parameters, by the name each was chosen under."""
    arrays = {name: entry.read() for name, entry in entries.items()}
    for name, x in arrays.items():
        check_floating("params", repr(name), x)
    if target.joint:
        return apart({"joint": _joint(term, list(arrays.values()))})
    coefficients = elastic_sums(term, target)
    if coefficients is None or torch._C._is_any_autocast_enabled():
        return apart({name: _parameter(term, target, name, x, entries[name]) for name, x in arrays.items()})
    return Found(list(arrays), elastics(list(arrays.values()), *coefficients))


def elastic_sums(term: Term, target: ParamsTarget) -> tuple[float | None, float | None] | None:
    """(l1, l2) of a term that is l1 Σ|x| + l2 Σx² of its parameters one by one; None for any other, and for one with a
    stated layout, which has to be seen to fit.
    """
    plain = not (target.joint or target.layout or target.combine == "mean")
    return elastic_coefficients(term.penalty) if plain else None


def _parameter(term: Term, target: ParamsTarget, name: str, x: Tensor, entry: ParameterEntry) -> Tensor:
    """The penalty of one parameter, its canonical pieces joined by sum or mean."""
    axes, found = _canonical("params", target.layout, entry.layouts[entry.candidate.names.index(name)], x)
    values = [evaluate(term.penalty, piece, axes, None) for piece in found]
    joined = reduce(add, values)
    return joined / len(values) if target.combine == "mean" and len(values) > 1 else joined


def _joint(term: Term, arrays: list[Tensor]) -> Tensor:
    """The penalty of all matched parameters as one vector."""
    vector = torch.cat([accumulate(x).reshape(-1) for x in arrays])
    return evaluate(term.penalty, vector, ("joint",), None)


class Heard(NamedTuple):
    """A term as a pass measures it on activations.

    Attributes:
        number: what is left for the read to multiply by.
        penalty: of which the rest is measured.
        sums: (l1, l2) where that is l1 Σ|x| + l2 Σx², whatever the axes.
    """

    number: float
    penalty: Penalty
    sums: tuple[float | None, float | None] | None


def heard(term: Term) -> Heard:
    """What a pass measures of a term; parameters are measured whole, when they are read."""
    number, penalty = unscaled(term.penalty) if isinstance(term.target, ActivationsTarget) else (1.0, term.penalty)
    return Heard(number, penalty, elastic_coefficients(penalty))


def activation(of: Heard, target: ActivationsTarget, name: str, x: Any, layout: Layout | None, mask: Any) -> Tensor:
    """The penalty of one activation of one call, its additive parts divided by what ``per`` says."""
    check_floating("activations", repr(name), x)
    axes, (moved,) = _canonical("activations", target.layout, layout, x)
    if of.sums is not None and mask is None and not torch._C._is_any_autocast_enabled():
        size = _size(target.per or "example", of.penalty, axes, tuple(moved.shape), None)
        return _each(elastic(x, *of.sums), size)  # as it lies in memory
    x, full = moved, _checked(name, mask, moved, axes)
    values = []
    for number, part in of.penalty.parts():
        value = evaluate(part, x, axes, None) if mask is None else part(x, axes=axes, where=mask)
        if part.additive(axes):
            value = _each(value, _size(target.per or "example", part, axes, tuple(x.shape), full))
        elif target.per is not None:
            kind = type(part).__name__
            raise ValueError(sentence("activations", "per", f"None, because {kind} is not additive", target.per))
        values.append(value if number == 1.0 else number * value)
    return reduce(add, values)


def _each(value: Tensor, size: Tensor | int) -> Tensor:
    return value if isinstance(size, int) and size == 1 else value / size


def _canonical(where: str, stated: Layout | None, known: Layout | None, x: Tensor) -> tuple[Axes, list[Tensor]]:
    """The canonical axes of an array and its pieces; ``known`` is the layout of a table, where none is stated."""
    layout, shape = stated or known or (), (1,) * x.ndim
    if "*" in "".join(layout):
        axes, how = _way(where, stated, known, tuple(x.shape))
    elif torch.compiler.is_compiling():
        axes, how = _way(where, stated, known, shape)
    else:
        axes, how = _remembered_way(where, stated, known, shape)
    return axes, [x] if how is None else pieces(x, how)


def _way(where: str, stated: Layout | None, known: Layout | None, shape: tuple[int, ...]) -> tuple[Axes, Move | None]:
    """The canonical axes of an array and the move to them, if any; the sizes matter only to a layout with products."""
    rank = len(shape)
    layout = stated or (stacked if where == "params" else fitting)(known, rank)
    if layout is not None:
        how = move(where, layout, shape)
        return how.axes, None if how.is_identity else how
    if where == "params":
        return parameter_axes(rank) if rank < 2 else (UNKNOWN,) * rank, None
    return unknown_axes(activation_axes(rank)), None


_remembered_way = lru_cache(maxsize=1024)(_way)  # asked at each step; a compiler asks once, and warns of caches


def _checked(name: str, mask: Any, x: Tensor, axes: Axes) -> Tensor | None:
    if mask is None:
        return None
    full = as_mask(name, mask, x)
    covered = torch.as_tensor(mask).ndim
    if UNKNOWN in axes[:covered]:
        hint = "State the axes with layout=, as in layout=('sample', 'feature', '...')."
        raise ValueError(sentence("activations", "layout", f"stated for a mask over {covered} axes", axes, hint))
    return full


def _size(per: str, part: Penalty, axes: Axes, shape: tuple[int, ...], mask: Tensor | None) -> Tensor | int:
    """What an additive penalty is divided by: only what counts is counted, and at least 1."""
    if per == "batch":
        return 1
    if per == "position" and UNKNOWN in axes:
        hint = "State the axes with layout=, as in layout=('sample', 'feature', '...')."
        raise ValueError(sentence("activations", "layout", "stated for per='position'", axes, hint))
    if per == "example" and mask is None:
        return max(shape[axes.index("sample")], 1) if "sample" in axes else 1
    counted = tuple(i for i, axis in enumerate(axes) if _counts(per, axis))
    summands = [(shape, mask)] if per == "example" else part.summands(shape, axes, mask)
    size = sum(_count(counted, *summand) for summand in summands)
    return max(size, 1) if isinstance(size, int) else torch.clamp(size, min=1)


def _count(counted: tuple[int, ...], shape: tuple[int, ...], mask: Tensor | None) -> Tensor | int:
    """How many indices along the counted axes have anything unmasked."""
    if mask is None:
        return math.prod([shape[i] for i in counted])
    others = tuple(i for i in range(len(shape)) if i not in counted)
    seen = mask.any(dim=others, keepdim=True) if others else mask
    return seen.sum() * math.prod([shape[i] for i in counted if mask.shape[i] == 1])


def _counts(per: str, axis: str) -> bool:
    return axis == "sample" or per == "element" or (per == "position" and axis[0] == "p")
