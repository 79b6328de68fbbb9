"""From terms to plain data: all that ``decode`` needs to make equal ones, every argument by name, defaults too."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import Any

from .decode import FLAGS, VERSION
from .errors import sentence
from .plain import MAX_DEPTH, MAX_TERMS, Brief, check_plain
from .targets import ParamsTarget, Target
from .terms import Term
from .vocabulary import KIND, SUM, Vocabulary

_OWN_CLASS = "Write a subclass of Penalty and name it: penalties=(...)."


def encode(where: str, terms: tuple[Term, ...], vocabulary: Vocabulary) -> dict[str, Any]:
    """The config of terms."""
    if len(terms) > MAX_TERMS:
        raise ValueError(sentence(where, "terms", f"at most {MAX_TERMS} terms", len(terms)))
    writer = _Writer(where, vocabulary)
    data = {"twinreg": VERSION, "terms": [writer.term(f"terms[{i}]", term) for i, term in enumerate(terms)]}
    check_plain(where, data)
    return data


class _Writer:
    """One config being written: every error names the place in it."""

    def __init__(self, where: str, vocabulary: Vocabulary) -> None:
        self._where = where
        self._vocabulary = vocabulary

    def term(self, path: str, term: Term) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": term.name,
            "penalty": self._penalty(f"{path}.penalty", term.penalty),
            "target": self._target(f"{path}.target", term.target),
        }
        if term.schedule is not None:
            found["schedule"] = self._schedule(f"{path}.schedule", term.schedule)
        return found

    def _penalty(self, path: str, penalty: Any) -> dict[str, Any]:
        self._check_depth(path)
        cls = type(penalty)
        if cls is self._vocabulary.total:
            parts = [
                {"times": number, "penalty": self._penalty(f"{path}.parts[{i}].penalty", part)}
                for i, (number, part) in enumerate(penalty.weighted)
            ]
            return {KIND: SUM, "parts": parts}
        if cls is self._vocabulary.function:
            raise self._error(
                TypeError, path, "of a class, because a function cannot be written down", penalty.name, _OWN_CLASS
            )
        if self._vocabulary.penalties.get(cls.__name__) is not cls:
            hint = f"Name a class of your own: penalties=({cls.__name__},)."
            raise self._error(LookupError, path, "of a class that this package exports", cls.__name__, hint)
        found: dict[str, Any] = {KIND: cls.__name__}
        for argument in self._vocabulary.fields[cls.__name__]:
            value = getattr(penalty, argument.name)
            found[argument.name] = self._value(f"{path}.{argument.name}", value)
        return found

    def _target(self, path: str, target: Target) -> dict[str, Any]:
        found: dict[str, Any] = {KIND: "params" if isinstance(target, ParamsTarget) else "activations"}
        for field in fields(target):
            value, place = getattr(target, field.name), f"{path}.{field.name}"
            if value is None:
                continue
            if field.name in ("pattern", "exclude"):
                written: Any = [self._pattern(place, member) for member in value]
            elif field.name == "type":
                written = [self._class_name(place, member) for member in value]
            else:
                written = self._value(place, value)
            lone = field.name in ("pattern", "role", "type") and len(written) == 1
            found[field.name] = written[0] if lone else written
        return found

    def _pattern(self, path: str, pattern: Any) -> Any:
        if not isinstance(pattern, re.Pattern):
            return pattern
        names = [name for name, flag in FLAGS.items() if pattern.flags & flag]
        if pattern.flags & ~(re.UNICODE | sum(FLAGS[name] for name in names)):
            raise self._error(ValueError, path, f"a pattern whose flags are of {', '.join(FLAGS)}", pattern)
        return {"regex": pattern.pattern, **({"flags": names} if names else {})}

    def _class_name(self, path: str, member: type | str) -> str:
        if isinstance(member, str):
            return member
        hint = f"Give the class by name: type={member.__name__!r}."
        raise self._error(TypeError, path, "given by name, because a class belongs to one framework", member, hint)

    def _schedule(self, path: str, schedule: Any) -> dict[str, Any]:
        self._check_depth(path)
        if not isinstance(schedule, self._vocabulary.schedule):
            hint = "Make it with the functions of schedules."
            raise self._error(
                TypeError, path, "one of schedules, because a function cannot be written down", schedule, hint
            )
        found: dict[str, Any] = {KIND: schedule.name}
        for key, value in schedule.arguments:
            place = f"{path}.{key}"
            if key == "schedules":
                found[key] = [self._schedule(f"{place}[{i}]", member) for i, member in enumerate(value)]
            elif key == "cosine_kwargs":
                found[key] = [dict(cycle) for cycle in value]
            else:
                found[key] = self._value(place, value)
        return found

    def _value(self, path: str, value: Any) -> Any:
        """A value as JSON has it, if reading it back gives an equal one."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(ValueError, path, "a finite number", value)
        for kind in (int, float, str):
            if isinstance(value, kind):
                return kind(value)
        if isinstance(value, tuple):
            return [self._value(f"{path}[{i}]", member) for i, member in enumerate(value)]
        raise self._error(TypeError, path, "a number, a string, true, false, null, or a tuple of them", value)

    def _check_depth(self, path: str) -> None:
        if path.count("[") > MAX_DEPTH:
            raise ValueError(sentence(self._where, "terms", f"nested at most {MAX_DEPTH} deep", "more"))

    def _error(self, kind: type[Exception], path: str, expected: str, actual: Any, hint: str = "") -> Exception:
        return kind(sentence(self._where, path, expected, Brief(actual), hint))
