"""``describe``: one row for everything that a regularizer matches in a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flax import nnx

from ._spec.layout import UNKNOWN, Layout, expand, move, parameter_axes, stacked
from ._spec.select import Selection, select_modules, select_params
from ._spec.table import Row, shaped
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term
from .linen import look
from .owners import owner_of
from .walk import ModuleEntry, ParameterEntry, node_parameters, nodes


def rows(terms: tuple[Term, ...], model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Row]:
    """The match table of all terms."""
    if isinstance(model, nnx.Module):
        modules, parameters = nodes(model), node_parameters(model)
    else:
        modules, parameters = look(model, args, kwargs)
    found: list[Row] = []
    for term in terms:
        if isinstance(term.target, ParamsTarget):
            found += _parameters(term, term.target, parameters)
        else:
            found += _modules(term, term.target, modules)
    return found


def _parameters(term: Term, target: ParamsTarget, entries: list[ParameterEntry]) -> list[Row]:
    selection = select_params(target, [entry.candidate for entry in entries])
    found = []
    for i, name in selection.chosen:
        entry = entries[i]
        shape, place = tuple(entry.array.shape), entry.candidate.names.index(name)
        axes = _axes(target.layout or entry.layouts[place], shape)
        role = entry.candidate.roles[place] or "unknown"
        found.append(_row(term, name, shaped(shape), axes, role, str(entry.array.size)))
    return found + _left_out(term, selection)


def _modules(term: Term, target: ActivationsTarget, entries: list[ModuleEntry]) -> list[Row]:
    selection = select_modules(target, [entry.candidate for entry in entries])
    found = []
    for i, name in selection.chosen:
        module = entries[i].module
        layout = target.layout or owner_of(type(module)).output_layout(module, -1)
        found.append(_row(term, name, "-", ", ".join(layout), f"{target.of} of {type(module).__name__}", "-"))
    return found + _left_out(term, selection)


def _left_out(term: Term, selection: Selection) -> list[Row]:
    return [_row(term, name, note=f"left out: {why}") for name, why in selection.left_out]


def _axes(layout: Layout | None, shape: tuple[int, ...]) -> str:
    known = stacked(layout, len(shape))
    if known is None:
        return ", ".join(parameter_axes(len(shape)) if len(shape) < 2 else (UNKNOWN,) * len(shape))
    _, sizes = expand("params", known, shape)
    how = move("params", known, shape)
    count = math.prod(sizes[axis] for axis in how.pieces)
    return ", ".join(how.axes) + (f", {count} pieces" if how.pieces else "")


def _row(
    term: Term, name: str, shape: str = "", axes: str = "", role: str = "", elements: str = "", note: str = ""
) -> Row:
    return Row(term.name or "", str(term.penalty), name, shape, axes, role, elements, note)
