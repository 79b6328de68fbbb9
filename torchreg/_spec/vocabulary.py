"""What a config can name: classes of penalties and functions that make schedules, with the kinds of their arguments."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import sentence

KIND = "is"
"""The key that says what a mapping stands for: a keyword of Python, so no argument can have this name."""
SUM = "Sum"


@dataclass(frozen=True)
class Argument:
    """One argument by name: its type hint, and whether it must be given."""

    name: str
    hint: Any
    required: bool


@dataclass(frozen=True)
class Vocabulary:
    """The names of one package, and the classes that are written down in a way of their own."""

    penalties: Mapping[str, type]
    schedules: Mapping[str, Callable[..., Any]]
    total: type
    function: type
    schedule: type

    @cached_property
    def fields(self) -> dict[str, tuple[Argument, ...]]:
        """The arguments of every penalty."""
        return {name: of_class(cls) for name, cls in self.penalties.items()}

    @cached_property
    def parameters(self) -> dict[str, tuple[Argument, ...]]:
        """The arguments of every schedule."""
        return {name: of_function(function) for name, function in self.schedules.items()}


def exported(names: Mapping[str, Any], base: type) -> dict[str, type]:
    """The penalties among public names."""
    return {name: thing for name, thing in names.items() if _is_penalty(thing, base) and name == thing.__name__}


def extended(where: str, known: Mapping[str, type], more: Iterable[Any], base: type) -> dict[str, type]:
    """The penalties of a package and those of the caller's, which cannot take the place of another."""
    found = dict(known)
    for cls in (more,) if isinstance(more, type) else more:
        if not _is_penalty(cls, base):
            raise TypeError(sentence(where, "penalties", "subclasses of Penalty that are dataclasses", cls))
        if found.setdefault(cls.__name__, cls) is not cls or cls.__name__ == SUM:
            raise ValueError(sentence(where, "penalties", "of names that no other penalty has", cls.__name__))
    return found


def _is_penalty(thing: Any, base: type) -> bool:
    return isinstance(thing, type) and issubclass(thing, base) and thing is not base and is_dataclass(thing)


def of_class(cls: Any) -> tuple[Argument, ...]:
    """The arguments of a dataclass."""
    hints = _hints(cls)
    return tuple(
        Argument(field.name, hints.get(field.name, Any), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(cls)
        if field.init
    )


def of_function(function: Callable[..., Any]) -> tuple[Argument, ...]:
    """The arguments of a function."""
    parameters, hints = inspect.signature(function).parameters, _hints(function)
    return tuple(
        Argument(name, hints.get(name, Any), parameter.default is parameter.empty)
        for name, parameter in parameters.items()
    )


def _hints(thing: Any) -> dict[str, Any]:
    try:
        return get_type_hints(thing)
    except (NameError, TypeError):  # a class of the caller's whose hints name what is not there: nothing is known
        return {}


def fits(hint: Any, value: Any) -> bool:
    """Whether plain data is of the kind that a hint says; a hint that plain data cannot meet says nothing."""
    simple = {float: int | float, int: int, str: str, bool: bool, types.NoneType: types.NoneType}
    if hint in simple:
        return isinstance(value, simple[hint]) and (hint is bool or not isinstance(value, bool))
    origin, members = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(member, value) for member in members)
    if origin is Literal:
        return any(type(value) is type(member) and value == member for member in members)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        inner = members[:1] * len(value) if members[1:] == (...,) else members
        return len(inner) == len(value) and all(map(fits, inner, value))
    return True


def described(hint: Any) -> str:
    """What a hint asks for, in words."""
    simple = {float: "a number", int: "a whole number", str: "a string", bool: "true or false", types.NoneType: "null"}
    if hint in simple:
        return simple[hint]
    origin, members = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(described, members))
    if origin is Literal:
        return f"one of {', '.join(map(repr, members))}"
    if origin is tuple and members[1:] == (...,):
        return f"a list, each of it {described(members[0])}"
    return "a list" if origin is tuple else "plain data"
