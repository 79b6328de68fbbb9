"""A regularizer: an immutable tuple of terms that can be put on any model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from . import report
from ._spec import table
from ._spec.terms import Term, named
from .capture import Tape, run
from .result import Penalties, Values, bind


@dataclass(frozen=True, init=False)
class Regularizer:
    """An immutable tuple of terms; equal configuration, equal object; usable with many models.

    Args:
        terms: what ``penalty.on(target)`` makes; names must differ.

    Raises:
        TypeError: something is not a term.
        ValueError: there is no term, or two terms have one name.
    """

    terms: tuple[Term, ...]

    def __init__(self, *terms: Term) -> None:
        object.__setattr__(self, "terms", named(terms))

    def __repr__(self) -> str:
        return f"Regularizer({', '.join(map(repr, self.terms))})"

    def at(
        self,
        *,
        step: Any = None,
        weights: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        axis_name: Any = None,
    ) -> BoundRegularizer:
        """This regularizer bound to run-time values.

        Args:
            step: what schedules are called with.
            weights: term name to a factor for the whole term.
            masks: mask name to an array over the leading axes of the activations that use it, 1 = counts.
            axis_name: the mapped axis over which the batch is split (JAX only; must be None in PyTorch).

        Raises:
            LookupError: a name is not that of a term, or of a mask that a target uses.
            TypeError: ``weights`` or ``masks`` is not a mapping.
            ValueError: ``axis_name`` has no meaning here.
        """
        return BoundRegularizer(self, bind(self.terms, step, weights, masks, axis_name))

    def apply(self, model: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Penalties]:
        """Runs ``model(*args, **kwargs)`` and returns its output with its penalties; leaves nothing on the model.

        Raises:
            LookupError: a pattern, a role or a type matches nothing.
            RuntimeError: a selected module did not run, a gradient was lost, or the model is compiled.
            TypeError: a selected array is not floating.
            ValueError: a penalty needs axes that nobody knows, or a value that ``at`` was not given.
        """
        return run(self.terms, Values(), model, args, kwargs)

    def attach(self, model: nn.Module) -> Tape:
        """Attaches to a model that is called elsewhere, before ``torch.compile``; ask the tape after each forward pass.

        Raises:
            LookupError: a pattern, a role or a type matches nothing.
            RuntimeError: the model is already compiled.
            TypeError: ``model`` is not a module.
        """
        return Tape(self.terms, model)

    def describe(self, model: nn.Module) -> None:
        """Prints one table: every term, penalty, matched name, shape, axes, role, and what was left out and why."""
        table.show(report.rows(self.terms, model))


@dataclass(frozen=True)
class BoundRegularizer:
    """A regularizer with the run-time values of one pass: what ``Regularizer.at`` returns."""

    regularizer: Regularizer
    values: Values

    def apply(self, model: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Penalties]:
        """As ``Regularizer.apply``, with the bound values."""
        return run(self.regularizer.terms, self.values, model, args, kwargs)
