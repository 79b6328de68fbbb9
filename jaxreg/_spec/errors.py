"""The one sentence form of every error, and the checks of plain Python values that use it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any


def sentence(where: str, argument: str, expected: str, actual: object, hint: str = "") -> str:
    """``{where}: {argument} must be {expected}; got {actual!r}.``, with a way out behind it where there is one."""
    return f"{where}: {argument} must be {expected}; got {actual!r}.{' ' if hint else ''}{hint}"


def coefficient(where: str, argument: str, value: Any, *, positive: bool = False) -> float:
    """A finite Python number >= 0 (> 0 with ``positive``), as a float."""
    expected = f"a finite number {'> 0' if positive else '>= 0'}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(sentence(where, argument, expected, value))
    number = float(value)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise ValueError(sentence(where, argument, expected, value))
    return number


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
