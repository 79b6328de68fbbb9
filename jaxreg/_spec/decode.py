"""From plain data to terms. Nothing is guessed, nothing is looked up but in a vocabulary, and no text is run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import coefficient, sentence
from .plain import MAX_TERMS, Brief, check_plain, joined, nearest
from .targets import activations, params
from .terms import Term, named
from .vocabulary import KIND, SUM, Argument, Vocabulary, described, fits, of_function

VERSION = 1
FLAGS = {str(flag.name): flag for flag in (re.ASCII, re.DOTALL, re.IGNORECASE, re.MULTILINE, re.VERBOSE)}
TARGETS: dict[str, Callable[..., Any]] = {"params": params, "activations": activations}
_MOVED = re.compile(r"[^:\n]{1,80}: (\w+)( must be .*)", re.DOTALL)
_LONGEST_MESSAGE = 1_000


def decode(where: str, data: Any, vocabulary: Vocabulary) -> tuple[Term, ...]:
    """The terms of a config."""
    check_plain(where, data)
    return _Reader(where, vocabulary).terms(data)


class _Reader:
    """One config being read: every error names the place in it."""

    def __init__(self, where: str, vocabulary: Vocabulary) -> None:
        self._where = where
        self._vocabulary = vocabulary
        self._targets = {name: of_function(function) for name, function in TARGETS.items()}

    def terms(self, data: Any) -> tuple[Term, ...]:
        self._mapping("data", data)
        if "twinreg" not in data:
            raise self._error(ValueError, "twinreg", f"{VERSION}, the version of the schema", None)
        version = data["twinreg"]
        if isinstance(version, bool) or not isinstance(version, int):
            raise self._error(TypeError, "twinreg", f"{VERSION}, the version of the schema", version)
        if version != VERSION:
            raise self._error(
                ValueError, "twinreg", f"{VERSION}, the version of the schema that this release reads", version
            )
        self._keys("", data, required=("twinreg", "terms"))
        members = self._list("terms", data["terms"])
        if len(members) > MAX_TERMS:
            raise self._error(ValueError, "terms", f"at most {MAX_TERMS} terms", len(members))
        terms = tuple(self._term(f"terms[{i}]", member) for i, member in enumerate(members))
        taken: set[str] = set()
        for i, term in enumerate(terms):
            if term.name in taken:
                raise self._error(ValueError, f"terms[{i}].name", "different for every term", term.name)
            taken.update(() if term.name is None else (term.name,))
        return named(terms)

    def _term(self, path: str, data: Any) -> Term:
        self._mapping(path, data)
        self._keys(path, data, required=("penalty", "target"), optional=("name", "schedule"))
        given = dict(data)
        given["penalty"] = self._penalty(f"{path}.penalty", data["penalty"])
        given["target"] = self._target(f"{path}.target", data["target"])
        if data.get("schedule") is not None:
            given["schedule"] = self._schedule(f"{path}.schedule", data["schedule"])
        return self._made(path, Term, given)

    def _penalty(self, path: str, data: Any) -> Any:
        known = self._vocabulary.penalties
        name, given = self._named(path, data, (*known, SUM), "the name of a penalty")
        if name == SUM:
            self._keys(path, given, required=("parts",))
            parts = self._list(f"{path}.parts", given["parts"])
            return self._vocabulary.total(tuple(self._part(f"{path}.parts[{i}]", p) for i, p in enumerate(parts)))
        arguments = self._vocabulary.fields[name]
        self._arguments(path, given, arguments)
        for argument in arguments:
            if argument.name in given and not fits(argument.hint, given[argument.name]):
                expected = described(argument.hint)
                raise self._error(TypeError, f"{path}.{argument.name}", expected, given[argument.name])
        return self._made(path, known[name], {key: _frozen(value) for key, value in given.items()})

    def _part(self, path: str, data: Any) -> tuple[float, Any]:
        self._mapping(path, data)
        self._keys(path, data, required=("times", "penalty"))
        return coefficient(self._where, f"{path}.times", data["times"]), self._penalty(
            f"{path}.penalty", data["penalty"]
        )

    def _target(self, path: str, data: Any) -> Any:
        name, given = self._named(path, data, TARGETS, "the name of a kind of target")
        self._arguments(path, given, self._targets[name])
        for key in given.keys() & {"pattern", "exclude"}:
            given[key] = self._patterns(f"{path}.{key}", given[key])
        return self._made(path, TARGETS[name], {key: _frozen(value) for key, value in given.items()})

    def _patterns(self, path: str, data: Any) -> Any:
        if isinstance(data, list | tuple):
            return tuple(self._patterns(f"{path}[{i}]", member) for i, member in enumerate(data))
        if not isinstance(data, Mapping):
            return data
        self._keys(path, data, required=("regex",), optional=("flags",))
        if not isinstance(data["regex"], str):
            raise self._error(TypeError, f"{path}.regex", "a regular expression", data["regex"])
        flags = 0
        for i, flag in enumerate(self._list(f"{path}.flags", data["flags"]) if "flags" in data else ()):
            if not isinstance(flag, str) or flag not in FLAGS:
                kind = ValueError if isinstance(flag, str) else TypeError
                raise self._error(kind, f"{path}.flags[{i}]", f"one of {', '.join(map(repr, FLAGS))}", flag)
            flags |= FLAGS[flag]
        try:
            return re.compile(data["regex"], flags)
        except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:  # warnings may be errors
            raise self._error(
                ValueError, f"{path}.regex", "a regular expression", data["regex"], f"{error}."
            ) from error

    def _schedule(self, path: str, data: Any) -> Any:
        known = self._vocabulary.schedules
        name, given = self._named(path, data, known, "the name of a schedule")
        self._arguments(path, given, self._vocabulary.parameters[name])
        if "schedules" in given:
            members = self._list(f"{path}.schedules", given["schedules"])
            given["schedules"] = [self._schedule(f"{path}.schedules[{i}]", member) for i, member in enumerate(members)]
        if given.get("boundaries_and_scales") is not None:
            given["boundaries_and_scales"] = self._pairs(
                f"{path}.boundaries_and_scales", given["boundaries_and_scales"]
            )
        return self._made(path, known[name], given)

    def _pairs(self, path: str, data: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for i, pair in enumerate(self._list(path, data) if data != [] else ()):
            sound = (
                isinstance(pair, list | tuple) and len(pair) == 2 and not isinstance(pair[0], Mapping | list | tuple)
            )
            if not sound:
                raise self._error(TypeError, f"{path}[{i}]", "a pair of a step and a scale", pair)
            if pair[0] in found:
                raise self._error(ValueError, f"{path}[{i}]", "of a step that no other pair has", pair)
            found[pair[0]] = pair[1]
        return found

    def _named(self, path: str, data: Any, known: Iterable[str], expected: str) -> tuple[str, dict[str, Any]]:
        """The name that a mapping says it stands for, and its other keys."""
        self._mapping(path, data)
        if KIND not in data:
            raise self._error(ValueError, f"{path}.{KIND}", expected, None)
        name, known = data[KIND], tuple(known)
        if not isinstance(name, str):
            raise self._error(TypeError, f"{path}.{KIND}", expected, name)
        if name not in known:
            raise self._error(LookupError, f"{path}.{KIND}", expected, name, nearest(name, known))
        return name, {key: value for key, value in data.items() if key != KIND}

    def _arguments(self, path: str, given: Mapping[str, Any], arguments: tuple[Argument, ...]) -> None:
        names = [argument.name for argument in arguments]
        self._keys(path, given, [argument.name for argument in arguments if argument.required], names)

    def _keys(self, path: str, data: Mapping[str, Any], required: Iterable[str], optional: Iterable[str] = ()) -> None:
        """Refuses a key that nobody knows, and then a key that is missing."""
        known = {*required, *optional}
        for key in data:
            if key not in known:
                raise self._error(LookupError, joined([key], path), "a known key", key, nearest(key, known))
        for key in required:
            if key not in data:
                raise self._error(ValueError, joined([key], path), "given", None)

    def _mapping(self, path: str, data: Any) -> None:
        if not isinstance(data, Mapping):
            raise self._error(TypeError, path, "a mapping", data)

    def _list(self, path: str, data: Any) -> list[Any] | tuple[Any, ...]:
        if not isinstance(data, list | tuple):
            raise self._error(TypeError, path, "a list", data)
        if not data:
            raise self._error(ValueError, path, "a list of at least one", data)
        return data

    def _made(self, path: str, make: Callable[..., Any], given: Mapping[str, Any]) -> Any:
        """What a function makes of arguments; its own refusal is said of the place in the config."""
        try:
            return make(**given)
        except (TypeError, ValueError, LookupError) as error:
            found = _MOVED.fullmatch(str(error))
            if found and found[1] in (*given, "pattern"):
                text = f"{self._where}: {path}.{found[1]}{found[2]}"
            else:
                text = sentence(self._where, path, f"accepted by {make.__name__}", Brief(given), str(error))
            kinds = (kind for kind in (TypeError, LookupError) if isinstance(error, kind))
            raise next(kinds, ValueError)(_cut(text)) from error

    def _error(self, kind: type[Exception], path: str, expected: str, actual: Any, hint: str = "") -> Exception:
        return kind(_cut(sentence(self._where, path, expected, Brief(actual), hint)))


def _frozen(value: Any) -> Any:
    """Data with tuples for its lists."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _cut(text: str) -> str:
    """An error short enough to read."""
    half = _LONGEST_MESSAGE // 2
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:half]} [...] {text[-half:]}"
