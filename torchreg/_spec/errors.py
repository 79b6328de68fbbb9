"""The one sentence form of every error, and the checks of plain Python values that use it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any


def sentence(where: str, argument: str, expected: str, actual: object, hint: str = "") -> str:
    """``{where}: {argument} must be {expected}; got {actual!r}.``, with a way out behind it where there is one."""
    return f"{where}: {argument} must be {expected}; got {actual!r}.{' ' if hint else ''}{hint}"


def coefficient(where: str, argument: str, value: Any, *, positive: bool = False) -> float:
    """A finite Python number >= 0 (> 0 with ``positive``), as a float."""
    expected = f"a finite number {'> 0' if positive else '>= 0'}"
    number = _real(where, argument, expected, value)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise ValueError(sentence(where, argument, expected, value))
    return number


def number(where: str, argument: str, value: Any) -> float:
    """A finite Python number of either sign, as a float."""
    number = _real(where, argument, "a finite number", value)
    if not math.isfinite(number):
        raise ValueError(sentence(where, argument, "a finite number", value))
    return number


def fraction(where: str, argument: str, value: Any, *, below: float = 1.0) -> float:
    """A Python number > 0 and below a bound, as a float."""
    expected = f"a number > 0 and < {below:g}"
    number = _real(where, argument, expected, value)
    if not 0 < number < below:
        raise ValueError(sentence(where, argument, expected, value))
    return number


def _real(where: str, argument: str, expected: str, value: Any) -> float:
    """A real number as a float; one beyond the range of floats is infinite."""
    if isinstance(value, bool) or not isinstance(value, float | int | Real):  # the common types first: Real is slow
        raise TypeError(sentence(where, argument, expected, value))
    try:
        return float(value)
    except OverflowError:
        return math.inf


def positive_integer(where: str, argument: str, value: Any) -> int:
    """An integer >= 1, as an int."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(sentence(where, argument, "an integer >= 1", value))
    if value < 1:
        raise ValueError(sentence(where, argument, "an integer >= 1", value))
    return int(value)


def choice(where: str, argument: str, value: Any, allowed: Iterable[str]) -> str:
    """One of a few words."""
    allowed = tuple(allowed)
    expected = f"one of {', '.join(repr(word) for word in allowed)}"
    if not isinstance(value, str):
        raise TypeError(sentence(where, argument, expected, value))
    if value not in allowed:
        raise ValueError(sentence(where, argument, expected, value))
    return value


def flag(where: str, argument: str, value: Any) -> bool:
    """True or False, and nothing that merely behaves like it."""
    if not isinstance(value, bool):
        raise TypeError(sentence(where, argument, "True or False", value))
    return value


def optional_name(where: str, argument: str, value: Any) -> str | None:
    """A non-empty string, or None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(sentence(where, argument, "a non-empty string or None", value))
    if not value:
        raise ValueError(sentence(where, argument, "a non-empty string or None", value))
    return value
