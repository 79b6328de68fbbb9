"""A regularizer: an immutable tuple of terms that can be put on any model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from torch import nn

from . import config, report
from ._spec import table
from ._spec.terms import Term, named
from .capture import Tape, run
from .penalty import Penalty
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

    def to_dict(self, *, penalties: Iterable[type[Penalty]] = ()) -> dict[str, Any]:
        """This regularizer as plain data, which ``from_dict`` of either package reads.

        Args:
            penalties: classes of your own that it uses.

        Raises:
            LookupError: a penalty is of a class that is neither exported here nor among ``penalties``.
            TypeError: something cannot be written down: a function, or a class given as ``type=``.
            ValueError: a value is not one of JSON's, or there is more than ``from_dict`` takes.
        """
        return config.to_data("Regularizer.to_dict", self.terms, penalties)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, penalties: Iterable[type[Penalty]] = ()) -> Regularizer:
        """The regularizer that plain data says: what ``to_dict`` gives, or what was written by hand.

        Args:
            data: mappings, lists, strings, numbers, true, false and null.
            penalties: classes of your own that it may name.

        Raises:
            LookupError: a key, a penalty or a schedule that there is not; the nearest names are listed.
            TypeError: a value is of the wrong kind.
            ValueError: a value is not allowed or missing, or there is too much of it.
        """
        return cls(*config.from_data("Regularizer.from_dict", data, penalties))

    def save(self, path: str | PathLike[str], *, penalties: Iterable[type[Penalty]] = ()) -> None:
        """Writes ``to_dict`` to a file of JSON or YAML, as the end of its name says.

        Raises:
            ImportError: the file is of YAML and PyYAML is not installed.
            LookupError, TypeError, ValueError: as ``to_dict``; or the name ends otherwise.
        """
        config.write("Regularizer.save", path, config.to_data("Regularizer.save", self.terms, penalties))

    @classmethod
    def load(cls, path: str | PathLike[str], *, penalties: Iterable[type[Penalty]] = ()) -> Regularizer:
        """The regularizer in a file of JSON or YAML. Nothing in the file is run, whoever wrote it.

        Raises:
            ImportError: the file is of YAML and PyYAML is not installed.
            LookupError, TypeError, ValueError: as ``from_dict``; or the text is not JSON or YAML, or too long.
            OSError: the file cannot be read.
        """
        return cls(*config.from_data("Regularizer.load", config.read("Regularizer.load", path), penalties))

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
