"""What a pass yields, and the run-time values that scale it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ._spec import table
from ._spec.errors import sentence
from ._spec.terms import Term, check_bindings, missing_step

FEW = 8
"""From so many scalars on, their sum is sooner had as that of a vector."""


class Found(NamedTuple):
    """The penalties of one term, before schedules and weights.

    Attributes:
        paths: of what was penalised.
        parts: places among the paths, and their penalties: a vector, or a scalar for one place.
    """

    paths: list[str]
    parts: list[tuple[list[int], Tensor]]


def apart(scalars: Mapping[str, Tensor]) -> Found:
    """What was measured one by one."""
    return Found(list(scalars), [([i], value) for i, value in enumerate(scalars.values())])


class Penalties(NamedTuple):
    """The result of one pass.

    Attributes:
        total: the sum of all terms, a scalar to add to the loss.
        terms: term name to scalar.
        layers: term name to path to scalar.
    """

    total: Tensor
    terms: dict[str, Tensor]
    layers: dict[str, dict[str, Tensor]]

    def report(self) -> str:
        """A table of every term and path with its value, in which whatever is not finite is marked.

        It reads the values back from the device, so it is for looking, not for every step.
        """
        return table.values(
            {name: {path: value.item() for path, value in found.items()} for name, found in self.layers.items()}
        )


@dataclass(frozen=True)
class Values:
    """Run-time values: what ``at(...)`` binds."""

    step: Any = None
    weights: Mapping[str, Any] = field(default_factory=dict)
    masks: Mapping[str, Any] = field(default_factory=dict)


def bind(terms: tuple[Term, ...], step: Any, weights: Any, masks: Any, axis_name: Any = None) -> Values:
    """Checked run-time values."""
    if axis_name is not None:
        hint = "PyTorch has no named axes: scale per='batch' terms by the number of processes instead."
        raise ValueError(sentence("Regularizer.at", "axis_name", "None in PyTorch", axis_name, hint))
    values = Values(step, {} if weights is None else weights, {} if masks is None else masks)
    check_bindings(terms, values.weights, values.masks)
    return values


def assemble(terms: tuple[Term, ...], found: list[Found], factors: list[Any]) -> Penalties:
    """The parts, scaled by the factors of their terms, and their sums."""
    layers: dict[str, dict[str, Tensor]] = {}
    sums: dict[str, Tensor] = {}
    for term, one, by in zip(terms, found, factors, strict=True):
        name = term.name or ""
        scaled = [(places, _scaled(values, by)) for places, values in one.parts]
        at = dict(pair for places, values in scaled for pair in zip(places, _apiece(values), strict=True))
        layers[name] = {path: at[place] for place, path in enumerate(one.paths)}
        sums[name] = _sum(one, by)
    return Penalties(summed(list(sums.values())), sums, layers)


def total(found: list[Found], factors: list[Any]) -> Tensor:
    """The sum of all terms alone: taking the parts of many layers apart takes longer than adding them."""
    return summed([_sum(one, by) for one, by in zip(found, factors, strict=True)])


def _scaled(values: Tensor, by: Any) -> Tensor:
    return values if by is None else values * by


def _sum(found: Found, by: Any) -> Tensor:
    return _scaled(summed([values.sum() if values.ndim else values for _, values in found.parts]), by)


def _apiece(values: Tensor) -> tuple[Tensor, ...]:
    """The scalars of a vector, or a scalar itself."""
    return values.unbind() if values.ndim else (values,)


def factor(term: Term, values: Values) -> Any:
    """The product of schedule and weight, or None where the term has neither."""
    weight = values.weights.get(term.name or "")
    if term.schedule is None:
        return weight
    if values.step is None:
        raise ValueError(missing_step(term))
    scheduled = term.schedule(values.step)
    return scheduled if weight is None else scheduled * weight


def times(factor: Any, number: float) -> Any:
    """A factor, or None for none, times a number."""
    return factor if number == 1 else number if factor is None else factor * number


def summed(values: list[Tensor]) -> Tensor:
    """The sum, on the accelerator where one of them is there; of nothing (all of it skipped), 0."""
    if not values:
        return torch.zeros(())
    device = next((value.device for value in values if not value.is_cpu), None)
    if device is not None:
        values = [value.to(device) for value in values]
    return reduce(add, values) if len(values) < FEW else torch.stack(values).sum()
