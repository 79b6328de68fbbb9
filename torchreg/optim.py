"""Penalties around the optimizer: the gradients of parameter terms, added at each step, without a loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from . import measure, walk
from ._spec.errors import sentence
from ._spec.select import select_params
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term
from .closed import ClosedForm
from .regularizer import BoundRegularizer, Regularizer
from .result import Found, Penalties, Values, assemble, factor, total

WHERE = "add_penalty_gradients"


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
        penalty: the total of all terms at the last step, without a gradient; None before the first.
        penalties: the same, with the parts.
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
        self._closed = [_closed(term, entries) for term, entries in zip(self._terms, self._chosen, strict=True)]
        self._check_held(optimizer)
        self.steps = 0
        self._found: tuple[list[Found], list[Any]] | None = None
        self._penalties: Penalties | None = None
        self._handle = optimizer.register_step_pre_hook(self._before_step)

    @property
    def penalty(self) -> Tensor | None:
        return None if self._found is None else total(*self._found)

    @property
    def penalties(self) -> Penalties | None:
        if self._penalties is None and self._found is not None:  # by the first who asks: most steps nobody does
            self._penalties = assemble(self._terms, *self._found)
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
        ready = [
            closed if closed and scale is None and _is_number(by) and closed.ready(held) else None
            for closed, by in zip(self._closed, factors, strict=True)
        ]
        found, rest = [], []
        for term, entries, by, closed in zip(self._terms, self._chosen, factors, ready, strict=True):
            if closed:
                found.append(Found(list(entries), []))
                continue
            with torch.enable_grad():
                one = measure.parameters(term, _target(term), entries)
                rest += [part.sum() if by is None else part.sum() * by for _, part in one.parts]
            found.append(Found(one.paths, [(places, part.detach()) for places, part in one.parts]))
        for one, by, closed in zip(found, factors, ready, strict=True):
            one.parts.extend(closed.add(1.0 if by is None else by) if closed else ())
        if rest:
            _add_by_autograd(rest, list(held.values()), scale)
        self._found, self._penalties = (found, factors), None
        self.steps += 1


def _chosen(term: Term, model: nn.Module) -> dict[str, walk.ParameterEntry]:
    """The parameters that a term selects, each under the name it was chosen by."""
    if isinstance(term.target, ActivationsTarget):
        hint = "An optimizer sees no activations: use Regularizer.attach or Regularizer.apply for such a term."
        raise ValueError(sentence(WHERE, "terms", "on parameters", term.name, hint))
    entries = walk.parameters(model)
    return {name: entries[i] for i, name in select_params(term.target, [entry.candidate for entry in entries]).chosen}


def _is_number(factor: Any) -> bool:
    return factor is None or isinstance(factor, int | float)


def _target(term: Term) -> ParamsTarget:
    return term.target  # pyright: ignore[reportReturnType]  # _chosen has refused every other kind


def _parameters(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _closed(term: Term, entries: dict[str, walk.ParameterEntry]) -> ClosedForm | None:
    """The closed form of a term, for all its parameters; None where autograd must do it."""
    coefficients = measure.elastic_sums(term, _target(term))
    return None if coefficients is None else ClosedForm(entries.values(), *coefficients)


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
