"""What a class or a function asks of its arguments, found by asking it: its own refusals say what it takes."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping
from typing import Any, get_args

from .vocabulary import Argument

_BOUND = re.compile(r"(>=|<=|>|<) (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")
_KEYWORDS = {">=": "minimum", "<=": "maximum", ">": "exclusiveMinimum", "<": "exclusiveMaximum"}
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:(?:, | or )-?\d+(?:\.\d+)?)+")
_NO_WORD = "\N{WHITE QUESTION MARK ORNAMENT}"


def refusals(make: Callable[..., Any], arguments: tuple[Argument, ...]) -> dict[str, list[str]]:
    """Argument to what it is said that it must be, by errors about it alone."""
    base = {argument.name: _sample(argument.hint) for argument in arguments if argument.required}
    for _ in arguments:  # one after the other, the words that it takes
        name, expected = _refusal(make, base)
        if name not in base or not (words := choices(expected)):
            break
        base[name] = words[0]
    found: dict[str, list[str]] = {}
    for argument in arguments:
        for value in _probes(argument.hint):
            name, expected = _refusal(make, base | {argument.name: value})
            if name == argument.name:
                found.setdefault(name, []).append(expected)
    return found


def bounds(expected: str) -> dict[str, Any]:
    """The keywords of JSON Schema for a text such as ``a number > 0 and < 0.5``, or ``1 or 2``."""
    if _NUMBERS.fullmatch(expected):
        return {"enum": list(map(_shortest, re.findall(r"[-.\d]+", expected)))}
    return {_KEYWORDS[sign]: _shortest(number) for sign, number in _BOUND.findall(expected)}


def _shortest(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def choices(expected: str) -> list[str]:
    """The words of a text such as ``one of 'sum', 'mean'``."""
    return re.findall(r"'([^']*)'", expected) if expected.startswith("one of '") else []


def _refusal(make: Callable[..., Any], given: Mapping[str, Any]) -> tuple[str, str]:
    """The argument that a call with these arguments is refused for, and what it must be."""
    try:
        make(**given)
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        found = re.match(rf"{make.__name__}: (\w+) must be (.*?); got ", str(error), re.DOTALL)
        return (found[1], found[2]) if found else ("", "")
    return "", ""


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _sample(hint: Any) -> Any:
    samples = {float: 0.25, int: 1, bool: False, types.NoneType: None}
    return next((samples[member] for member in _members(hint) if member in samples), _NO_WORD)


def _probes(hint: Any) -> list[Any]:
    probes = {float: [math.nan, -1e9], int: [-(10**9)], str: [_NO_WORD]}
    return [value for member in _members(hint) for value in probes.get(member, ())]
