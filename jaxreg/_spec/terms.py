"""Terms: a penalty on a target, with a name and a schedule; and the run-time values they are bound to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from .errors import optional_name, sentence
from .targets import ActivationsTarget, ParamsTarget, Target


@dataclass(frozen=True)
class Term:
    """A penalty on a target: what ``penalty.on(target, name=..., schedule=...)`` makes.

    Args:
        penalty: the penalty.
        target: ``params(...)`` or ``activations(...)``.
        name: the key in ``Penalties.terms``; without one, the class name of the penalty, numbered where it repeats.
        schedule: a callable from the step to a factor, called with the step of ``at(step=...)``.
    """

    penalty: Any
    target: Target
    name: str | None = None
    schedule: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.target, ParamsTarget | ActivationsTarget):
            raise TypeError(sentence("Term", "target", "params(...) or activations(...)", self.target))
        optional_name("Term", "name", self.name)
        if self.schedule is not None and not callable(self.schedule):
            raise TypeError(sentence("Term", "schedule", "a callable from step to factor, or None", self.schedule))


def named(terms: tuple[Any, ...]) -> tuple[Term, ...]:
    """The terms with a name each: given names must differ, missing ones are made from the penalty's class."""
    if not terms:
        raise ValueError(sentence("Regularizer", "terms", "at least one term", terms))
    for term in terms:
        if not isinstance(term, Term):
            raise TypeError(sentence("Regularizer", "terms", "terms, as made by penalty.on(target)", term))
    taken: set[str] = set()
    for term in terms:
        if term.name is not None and term.name in taken:
            raise ValueError(sentence("Regularizer", "name", "different for every term", term.name))
        if term.name is not None:
            taken.add(term.name)
    used: dict[str, int] = {}
    return tuple(term if term.name is not None else replace(term, name=_fresh(term, taken, used)) for term in terms)


def _fresh(term: Term, taken: set[str], used: dict[str, int]) -> str:
    """The class name with the next number; ``used`` remembers the last, or a thousand terms would count a million."""
    stem = type(term.penalty).__name__
    number = used.get(stem, 0) + 1
    name = stem if number == 1 else f"{stem}_{number}"
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    used[stem] = number
    taken.add(name)
    return name


def check_bindings(terms: tuple[Term, ...], weights: Any, masks: Any) -> None:
    """Names of weights must be names of terms; a mask must be used by a target."""
    names = [term.name or "" for term in terms]
    used = [term.target.mask for term in terms if isinstance(term.target, ActivationsTarget) and term.target.mask]
    _check_keys("weights", weights, names, "the name of a term")
    _check_keys("masks", masks, used, "the name of a mask that a target uses")


def _check_keys(argument: str, values: Any, known: list[str], expected: str) -> None:
    if not isinstance(values, Mapping):
        raise TypeError(sentence("Regularizer.at", argument, "a mapping from names to values, or None", values))
    for name in values:
        if name not in known:
            close = get_close_matches(str(name), known, n=3, cutoff=0.3) or known[:3]
            hint = f"Nearest names: {', '.join(repr(k) for k in close)}." if close else ""
            raise LookupError(sentence("Regularizer.at", argument, f"keyed by {expected}", name, hint))


def missing_step(term: Term) -> str:
    """The sentence for a schedule without a step."""
    hint = "Use at(step=...)."
    return sentence("Regularizer", "step", f"given, because the term {term.name!r} has a schedule", None, hint)


def missing_mask(term: Term, mask: str) -> str:
    """The sentence for a mask without a value."""
    hint = f"Use at(masks={{{mask!r}: ...}})."
    return sentence("Regularizer", "masks", f"given for {mask!r}, which the term {term.name!r} uses", None, hint)
