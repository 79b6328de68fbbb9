"""Penalties around the optimizer: the gradients of parameter terms, added at each step, without a loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from . import measure, walk
from ._spec.errors import sentence
from ._spec.select import select_params
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term
from .fused import add_elastic_gradients, is_addable
from .penalties.elementwise import L1, L2, ElasticNet
from .penalty import Penalty
from .regularizer import BoundRegularizer, Regularizer
from .result import Penalties, Values, factor, summed

WHERE = "add_penalty_gradients"

Found = list[tuple[list[str], Tensor]]
"""Paths and, in a vector, their penalties."""


def add_penalty_gradients(
    optimizer: Optimizer, reg: Regularizer | BoundRegularizer, model: nn.Module
) -> PenaltyGradients:
    """Adds the gradients of a regularizer's parameter terms to ``.grad`` at the start of each ``optimizer.step()``.

    The numbers are those of adding the penalty to the loss, without a graph and, for ``L1``, ``L2`` and ``ElasticNet``,
    in one pass over parameters and gradients. Only parameters that this optimizer holds get a gradient. Gradients that
    are scaled for mixed precision are met after ``GradScaler`` has unscaled them, or with its scale where the optimizer
    unscales by itself; clipping that ran before the step has not seen the penalty.

    Schedules are called with the number of steps that came before, unless ``reg`` is bound to a step.

    Args:
        optimizer: any optimizer whose ``step`` takes no closure.
        reg: a regularizer whose terms are all on parameters, or one bound to weights or to a step.
        model: the module whose parameters the terms select.

    Raises:
        LookupError: a pattern or a role matches nothing.
        RuntimeError: at a step, a closure is given, which computes gradients anew after the penalty's were added.
        TypeError: an argument is of the wrong kind.
        ValueError: a term is on activations, or selects nothing that the optimizer holds.

    >>> import torch, torchreg
    >>> model = torch.nn.Linear(3, 2)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> reg = torchreg.Regularizer(torchreg.L1(0.1).on(torchreg.params(role="kernel")))
    >>> handle = torchreg.add_penalty_gradients(optimizer, reg, model)
    >>> model(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    >>> handle.steps
    1
    """
    return PenaltyGradients(optimizer, reg, model)


class PenaltyGradients:
    """What :func:`add_penalty_gradients` returns.

    Attributes:
        steps: how many steps were taken, which is what schedules are called with next; set it to go on from a
            checkpoint.
        penalties: what the terms came to at the last step, without a gradient; None before the first.
    """

    def __init__(self, optimizer: Optimizer, reg: Regularizer | BoundRegularizer, model: nn.Module) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(sentence(WHERE, "optimizer", "a torch.optim.Optimizer", type(optimizer).__name__))
        if not isinstance(reg, Regularizer | BoundRegularizer):
            raise TypeError(sentence(WHERE, "reg", "a Regularizer", type(reg).__name__))
        if not isinstance(model, nn.Module):
            raise TypeError(sentence(WHERE, "model", "a torch.nn.Module", type(model).__name__))
        bound = reg if isinstance(reg, BoundRegularizer) else reg.at()
        self._values, self._terms = bound.values, bound.regularizer.terms
        self._chosen = [_chosen(term, model) for term in self._terms]
        self._check_held(optimizer)
        self.steps = 0
        self._found: list[tuple[Found, Any]] | None = None
        self._penalties: Penalties | None = None
        self._handle = optimizer.register_step_pre_hook(self._before_step)

    @property
    def penalties(self) -> Penalties | None:
        if self._found is not None:  # put together by the first who asks: most steps nobody does
            self._penalties, self._found = _told(self._terms, self._chosen, self._found), None
        return self._penalties

    def remove(self) -> None:
        """Adds nothing any more; the optimizer is as it was."""
        self._handle.remove()

    def __enter__(self) -> PenaltyGradients:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def _check_held(self, optimizer: Optimizer) -> None:
        held = {id(parameter) for parameter in _parameters(optimizer)}
        for term, entries in zip(self._terms, self._chosen, strict=True):
            if not any(id(entry.owner._parameters[entry.leaf]) in held for entry in entries.values()):
                expected = f"one that holds a parameter of the term {term.name!r}"
                raise ValueError(sentence(WHERE, "optimizer", expected, type(optimizer).__name__))

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if any(callable(value) for value in (*args, *kwargs.values())):
            hint = "Its gradients are computed inside the step: add the penalty to the loss instead."
            raise RuntimeError(sentence(WHERE, "closure", "None", "a closure", hint))
        held = {id(parameter): parameter for parameter in _parameters(optimizer) if parameter.requires_grad}
        values = self._values if self._values.step is not None else Values(self.steps, self._values.weights)
        scale = getattr(optimizer, "grad_scale", None)
        factors = [factor(term, values) for term in self._terms]
        closed = [_closed(term, entries, by, scale, held) for term, entries, by in self._each(factors)]
        found, rest = [], []
        for (term, entries, by), in_place in zip(self._each(factors), closed, strict=True):
            with torch.enable_grad():
                computed = measure.parameters(term, _target(term), entries) if in_place is None else {}
                rest += [value if by is None else value * by for value in computed.values()]
            found.append([([name], value.detach().reshape(1)) for name, value in computed.items()])
        for i, (by, in_place) in enumerate(zip(factors, closed, strict=True)):
            found[i] += in_place.add(1.0 if by is None else by) if in_place else []
        if rest:
            _add_by_autograd(rest, list(held.values()), scale)
        self._found, self._penalties = list(zip(found, factors, strict=True)), None
        self.steps += 1

    def _each(self, factors: list[Any]) -> Iterator[tuple[Term, dict[str, walk.ParameterEntry], Any]]:
        return zip(self._terms, self._chosen, factors, strict=True)


def _chosen(term: Term, model: nn.Module) -> dict[str, walk.ParameterEntry]:
    """The parameters that a term selects, each under the name it was chosen by."""
    if isinstance(term.target, ActivationsTarget):
        hint = "An optimizer sees no activations: use Regularizer.attach or Regularizer.apply for such a term."
        raise ValueError(sentence(WHERE, "terms", "on parameters", term.name, hint))
    entries = walk.parameters(model)
    return {name: entries[i] for i, name in select_params(term.target, [entry.candidate for entry in entries]).chosen}


def _target(term: Term) -> ParamsTarget:
    return term.target  # pyright: ignore[reportReturnType]  # _chosen has refused every other kind


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


@dataclass(frozen=True)
class _InPlace:
    """Parameters of a term whose penalty's gradients are added by their closed form."""

    names: list[str]
    parameters: list[Tensor]
    l1: float | None
    l2: float | None

    def add(self, by: float) -> Found:
        gradients = []
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        added = add_elastic_gradients(gradients, self.parameters, self.l1, self.l2, by)
        return [([self.names[i] for i in places], values) for places, values in added]


def _closed(
    term: Term, entries: dict[str, walk.ParameterEntry], by: Any, scale: Tensor | None, held: dict[int, Tensor]
) -> _InPlace | None:
    """What can be added in place, for all parameters of a term; None where autograd must do it."""
    coefficients, target = elastic_coefficients(term.penalty), _target(term)
    number = by is None or isinstance(by, int | float)
    if coefficients is None or target.joint or target.combine == "mean" or scale is not None or not number:
        return None
    stored = [entry.stored() for entry in entries.values()]
    ready = all(map(held.__contains__, map(id, stored))) and all(map(_is_ready, stored))
    return _InPlace(list(entries), stored, *coefficients) if ready else None


def _is_ready(parameter: Tensor) -> bool:
    gradient = parameter.grad
    fit = is_addable(parameter) and parameter.is_floating_point()
    return fit and (gradient is None or (is_addable(gradient) and gradient.dtype == parameter.dtype))


def _told(terms: tuple[Term, ...], chosen: list[dict[str, Any]], found: list[tuple[Found, Any]]) -> Penalties:
    """The penalties of a step, every path in the order in which it was chosen."""
    layers: dict[str, dict[str, Tensor]] = {}
    sums: dict[str, Tensor] = {}
    for term, entries, (parts, by) in zip(terms, chosen, found, strict=True):
        name = term.name or ""
        scaled = [(paths, values if by is None else values * by) for paths, values in parts]
        by_path = {path: value for paths, values in scaled for path, value in zip(paths, values.unbind(), strict=True)}
        layers[name] = by_path if _target(term).joint else {path: by_path[path] for path in entries}
        sums[name] = summed([values.sum() for _, values in scaled])
    return Penalties(summed(list(sums.values())), sums, layers)


def elastic_coefficients(penalty: Penalty) -> tuple[float | None, float | None] | None:
    """(l1, l2) of a penalty that is l1 Σ|x| + l2 Σx² of every array, whatever its axes; None for any other."""
    first = second = None
    for number, part in penalty.parts():
        if type(part) not in (L1, L2, ElasticNet):
            return None
        l1 = part.l1 if isinstance(part, ElasticNet) else part.strength if isinstance(part, L1) else None
        l2 = part.l2 if isinstance(part, ElasticNet) else part.strength if isinstance(part, L2) else None
        first = first if l1 is None else (first or 0.0) + number * l1
        second = second if l2 is None else (second or 0.0) + number * l2
    return first, second


def _add_by_autograd(values: list[Tensor], parameters: list[Tensor], scale: Tensor | None) -> None:
    """The gradients of these penalties alone, by their own small graph."""
    total = torch.stack([value.to(values[0].device) for value in values]).sum()
    if not total.requires_grad:
        return
    if scale is not None:
        total = total * scale.to(total.device)
    for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters, allow_unused=True), strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
