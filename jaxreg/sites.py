"""Which values of a pass count for which term, and what each of them is worth. The same for linen and nnx."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from . import measure
from ._spec.errors import sentence
from ._spec.names import Pattern, matcher
from ._spec.select import Candidate, is_of_type, select_modules, select_params
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term, missing_mask
from .outputs import main, pick
from .owners import FEATURE_LAST, owner_of
from .result import Scalars, Values
from .walk import ParameterEntry


class Mask:
    """A mask that can be static: equal to a mask of the very same array alone, so that no trace serves another's."""

    def __init__(self, value: jax.Array) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@dataclass(frozen=True)
class Site:
    """An activation term with what a pass binds it to. Hashable: it says what a trace depends on."""

    number: int
    term: Term
    target: ActivationsTarget
    axis_name: Any
    mask: Mask | None

    def wants(self, names: Iterable[str], kind: type | None) -> str | None:
        """The first name under which the target selects a module, if any."""
        names = tuple(names)
        if not is_of_type(self.target, kind) or any(matcher(p)(name) for p in self.target.exclude for name in names):
            return None
        patterns = self.target.pattern
        return next((name for name in names if patterns is None or any(matcher(p)(name) for p in patterns)), None)

    def wants_sown(self, name: str) -> bool:
        """Whether the target selects a value that the model sows itself; such a value has no type and no input."""
        return self.target.of == "output" and self.wants((name,), None) is not None

    def listens(self, path: str) -> bool:
        """Whether the target may select some value that the module at a path sows."""
        return any(_reaches(pattern, path) for pattern in self.target.pattern or ())

    def penalty(self, name: str, module: Any, kind: type, inputs: Any, output: Any) -> jax.Array:
        """The penalty of one call of a module."""
        target, owner = self.target, owner_of(kind)
        value, primary = (inputs, None) if target.of == "input" else (output, owner.primary)
        x = pick(name, target.of, value, target.index, primary)
        known = target.index is None or x is main(value, next(iter(value), None) if target.of == "input" else primary)
        layout = owner.output_layout(module, x.ndim) if known else FEATURE_LAST
        return self._measure(name, x, layout)

    def penalty_of_sown(self, name: str, value: Any, *, known: bool = True) -> jax.Array:
        """The penalty of one value that the model sowed; ``known`` says that Flax's own layout may be assumed."""
        x = pick(name, self.target.of, value, self.target.index, None)
        return self._measure(name, x, FEATURE_LAST if known else None)

    def _measure(self, name: str, x: Any, layout: Any) -> jax.Array:
        mask = self.mask.value if self.mask is not None else None
        return measure.activation(self.term, self.target, name, x, layout, mask, self.axis_name)


def sites(terms: tuple[Term, ...], values: Values) -> tuple[Site, ...]:
    """The activation terms, each with its mask."""
    # Copied: jax takes a NumPy array that a trace closes over for a constant, and keeps what was in it the first time.
    masks = {
        name: Mask(value if isinstance(value, jax.Array) else jnp.array(value)) for name, value in values.masks.items()
    }
    found = []
    for number, term in enumerate(terms):
        if isinstance(term.target, ActivationsTarget):
            if term.target.mask is not None and term.target.mask not in masks:
                raise ValueError(missing_mask(term, term.target.mask))
            mask = masks[term.target.mask] if term.target.mask is not None else None
            found.append(Site(number, term, term.target, values.axis_name, mask))
    return tuple(found)


def parameter_scalars(terms: tuple[Term, ...], entries: Callable[[], list[ParameterEntry]]) -> dict[int, Scalars]:
    """The penalties of every parameter term; the parameters are looked for once, where some term wants them."""
    wanted = [(number, term, term.target) for number, term in enumerate(terms) if isinstance(term.target, ParamsTarget)]
    found = entries() if wanted else []
    candidates = [entry.candidate for entry in found]
    return {
        number: measure.parameters(
            term, target, {name: found[i] for i, name in select_params(target, candidates).chosen}
        )
        for number, term, target in wanted
    }


def _reaches(pattern: Pattern, path: str) -> bool:
    """Whether a pattern can match a name one segment below a path."""
    if not isinstance(pattern, str):
        return True
    above, _, last = pattern.rpartition(".")
    if last == "**":
        return matcher(pattern)(joined(path, "_"))
    return matcher(joined(above, "_"))(joined(path, "_"))


def joined(path: str, name: str) -> str:
    """A name below a path; the root's path is empty."""
    return f"{path}.{name}" if path else name


def chosen(
    target: ActivationsTarget, candidates: Sequence[Candidate], skipped: Sequence[str], tap: str, known: str = ""
) -> list[str]:
    """The names that a target selects after a pass.

    ``skipped`` are the modules that did not run and of whose inside nothing is known: where modules may be missing, a
    pattern that matches nothing is no error if it may mean something there. ``known`` ends the error's sentence.
    """
    hint = f"A function (such as relu) is no module: name its result with {tap}."
    hint += known if target.missing == "skip" else ""
    try:
        return [name for _, name in select_modules(target, candidates).chosen]
    except LookupError as error:
        if target.missing != "skip" or target.pattern is None:
            raise LookupError(f"{error} {hint}") from None
    found: list[str] = []
    for pattern in target.pattern:
        try:
            found += [name for _, name in select_modules(replace(target, pattern=(pattern,)), candidates).chosen]
        except LookupError as error:
            if not any(_may_mean(pattern, path) for path in skipped):
                raise LookupError(f"{error} {hint}") from None
    return list(dict.fromkeys(found))


def _may_mean(pattern: Pattern, path: str) -> bool:
    """Whether a pattern can match a name at or below a path."""
    if not isinstance(pattern, str):
        return True
    segments = pattern.split(".")
    for at, part in enumerate(path.split(".")):
        if at < len(segments) and segments[at] == "**":
            return True
        if at >= len(segments) or not matcher(segments[at])(part):
            return False
    return True


def silent(name: str, tap: str, variable: str) -> str:
    """The sentence for a selected module that did not run."""
    hint = (
        f"A function (such as relu) is no module: name its result with {tap}; where the model may skip the module, use "
        f"missing='skip'; under a lifted transform, name {variable}."
    )
    return sentence("Regularizer.apply", "activations", "modules that ran in the pass", (name,), hint)
