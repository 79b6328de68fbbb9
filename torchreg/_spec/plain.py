"""Plain data: what JSON can say, within bounds that are checked before anything is made of it."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from .errors import sentence

MAX_BYTES = 8 * 2**20
MAX_DEPTH = 32
MAX_VALUES = 1_000_000
MAX_TERMS = 10_000
MAX_CHARACTERS = 2_000
MAX_BITS = 64
"""Of a file; of nesting; of all values together; of a regularizer; of one string; of one whole number."""

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 3, 80, 80


@dataclass(frozen=True)
class Brief:
    """A value whose text in an error is short, however large it is."""

    value: Any

    def __repr__(self) -> str:
        return _BRIEF.repr(self.value)


def joined(keys: Iterable[str | int], start: str = "") -> str:
    """A path inside a config, as in ``terms[2].target.per``; of no keys, ``data``."""
    for key in keys:
        if isinstance(key, str) and key.isidentifier():
            start += f".{key}" if start else key
        else:
            start += f"[{Brief(key)!r}]"
    return start or "data"


def check_plain(where: str, data: Any) -> None:
    """Refuses what is not plain, or is too deep, too much, or not finite, with the path to it."""
    pending: list[_Place] = [(data, None, "", 0)]
    count = 1
    while pending:
        place = pending.pop()
        value, _, _, depth = place
        if _is_sound(value):
            continue
        inner = len(value) if isinstance(value, list | tuple | Mapping) else 0
        if fault := _fault(value, depth, count + inner):
            kind, expected, actual = fault
            raise kind(sentence(where, _path(place), expected, actual))
        count += inner
        items = value.items() if isinstance(value, Mapping) else enumerate(value if inner else ())
        pending += reversed([(member, place, key, depth + 1) for key, member in items])


def _is_sound(value: Any) -> bool:
    """Whether a value, seen at a glance, is one of the many with nothing inside and nothing wrong."""
    kind = type(value)
    if kind is str:
        return len(value) <= MAX_CHARACTERS and value.isascii()
    if kind is float:
        return abs(value) < math.inf
    return value is None or kind is bool


_Place = tuple[Any, Any, str | int, int]
"""A value of nested data, the place that holds it, its key there, and how deep it is."""


def _path(place: _Place) -> str:
    keys: list[str | int] = []
    while place[1] is not None:
        keys.append(place[2])
        place = place[1]
    return joined(reversed(keys))


def _fault(value: Any, depth: int, count: int) -> tuple[type[Exception], str, object] | None:
    """What is wrong with one value: the kind of error, what was expected, what was found."""
    if depth > MAX_DEPTH:
        return ValueError, f"nested at most {MAX_DEPTH} deep", "more"
    if count > MAX_VALUES:
        return ValueError, f"among at most {MAX_VALUES} values", "more"
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _text_fault(value)
    if isinstance(value, int):
        large = value.bit_length() > MAX_BITS
        return (ValueError, f"of at most {MAX_BITS} bits", f"{value.bit_length()} bits") if large else None
    if isinstance(value, float):
        return None if math.isfinite(value) else (ValueError, "a finite number", value)
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            return TypeError, "a mapping whose keys are strings", Brief(odd)
        return next((fault for key in value if (fault := _text_fault(key))), None)
    if isinstance(value, list | tuple):
        return None
    return TypeError, "plain data: a mapping, a list, a string, a number, true, false or null", Brief(value)


def _text_fault(value: str) -> tuple[type[Exception], str, object] | None:
    if len(value) > MAX_CHARACTERS:
        return ValueError, f"a string of at most {MAX_CHARACTERS} characters", Brief(value)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        return ValueError, "a string that Unicode can encode", Brief(value)
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that lists the names most like a word that is none of them."""
    names = sorted(known)
    close = get_close_matches(word[:100], names, n=3, cutoff=0.5) or names[:3]
    return f"Nearest names: {', '.join(map(repr, close))}." if close else ""
