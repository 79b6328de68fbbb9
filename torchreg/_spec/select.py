"""Selection: which candidates of a model a target means. The same code in both packages, so that both select alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import sentence
from .names import Pattern, is_literal, matcher, nothing_matched
from .targets import ActivationsTarget, ParamsTarget


@dataclass(frozen=True)
class Candidate:
    """A parameter or a module: every name it has in the model, the role under each name, and its class (modules)."""

    names: tuple[str, ...]
    roles: tuple[str | None, ...] = ()
    kind: type | None = None


@dataclass(frozen=True)
class Selection:
    """The chosen candidates, each with the name it was chosen under; and what was matched but left out, and why."""

    chosen: tuple[tuple[int, str], ...]
    left_out: tuple[tuple[str, str], ...]


def select_params(target: ParamsTarget, candidates: Sequence[Candidate]) -> Selection:
    """A parameter counts once, under the first name that matches with a wanted role; excluded under any, it is out."""
    matched = _matched("params", "pattern", target.pattern, candidates, "parameter")
    excluded = _matched("params", "exclude", target.exclude, candidates, "parameter")
    chosen: list[tuple[int, str]] = []
    left_out: list[tuple[str, str]] = []
    for i, candidate in enumerate(candidates):
        names = [(n, r) for n, r in zip(candidate.names, candidate.roles, strict=True) if (i, n) in matched]
        wanted = [name for name, role in names if target.role is None or role in target.role]
        if not names:
            continue
        if any((i, name) in excluded for name in candidate.names):
            left_out.append((names[0][0], "excluded"))
        elif not wanted:
            left_out.append((names[0][0], f"role is {names[0][1] or 'unknown'}"))
        else:
            chosen.append((i, wanted[0]))
            left_out += [(name, f"tied to {wanted[0]}") for name in candidate.names if name != wanted[0]]
    if not chosen:
        raise LookupError(_nothing_left("params", target.role, "role", left_out))
    return Selection(tuple(chosen), tuple(left_out))


def select_modules(target: ActivationsTarget, candidates: Sequence[Candidate]) -> Selection:
    """A module is chosen once, under the first name that matches; every call of it will count."""
    everything = {(i, name) for i, candidate in enumerate(candidates) for name in candidate.names}
    if target.pattern is None:
        matched = everything
    else:
        matched = _matched("activations", "pattern", target.pattern, candidates, "module")
    excluded = _matched("activations", "exclude", target.exclude, candidates, "module")
    chosen: list[tuple[int, str]] = []
    left_out: list[tuple[str, str]] = []
    for i, candidate in enumerate(candidates):
        names = [name for name in candidate.names if (i, name) in matched]
        if not names or (target.pattern is None and not is_of_type(target, candidate.kind)):
            continue
        if any((i, name) in excluded for name in candidate.names):
            left_out.append((names[0], "excluded"))
        elif not is_of_type(target, candidate.kind):
            left_out.append((names[0], f"type is {candidate.kind.__name__ if candidate.kind else 'unknown'}"))
        else:
            chosen.append((i, names[0]))
            left_out += [(name, f"shared with {names[0]}") for name in candidate.names if name != names[0]]
    if not chosen:
        kinds = [(c.names[0], f"type is {c.kind.__name__}") for c in candidates if c.kind is not None]
        raise LookupError(_nothing_left("activations", target.type, "type", left_out or kinds))
    return Selection(tuple(chosen), tuple(left_out))


def is_of_type(target: ActivationsTarget, kind: type | None) -> bool:
    """Whether a class is, or inherits from, a wanted class or a class of a wanted name."""
    if target.type is None:
        return True
    if kind is None:
        return False
    names = {base.__name__ for base in kind.__mro__}
    return any(wanted in names if isinstance(wanted, str) else issubclass(kind, wanted) for wanted in target.type)


def _matched(
    where: str, argument: str, patterns: Iterable[Pattern], candidates: Sequence[Candidate], kind: str
) -> set[tuple[int, str]]:
    """Every (candidate, name) that some pattern matches; a pattern that matches nothing is an error."""
    places: dict[str, list[int]] = {}
    for i, candidate in enumerate(candidates):
        for name in candidate.names:
            places.setdefault(name, []).append(i)
    found: set[tuple[int, str]] = set()
    for pattern in patterns:
        if is_literal(pattern):
            names = [str(pattern)] if pattern in places else []
        else:
            test = matcher(pattern)
            names = [name for name in places if test(name)]
        if not names:
            raise nothing_matched(where, argument, pattern, kind, places)
        found.update((i, name) for name in names for i in places[name])
    return found


def _nothing_left(where: str, wanted: object, argument: str, left_out: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{name!r}: {why}" for name, why in left_out[:5])
    return sentence(where, argument, "one that leaves something selected", wanted, f"Left out: {shown}.")
