"""The texts of config files, as plain data: JSON, and YAML's events without what JSON has not.

YAML is read as version 1.2 has it: ``1e-4`` is a number, ``on`` and ``no`` are strings. Aliases, anchors and tags are
refused where they stand, so nothing is expanded and nothing is made but mappings, lists, strings and numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from .errors import sentence
from .plain import MAX_DEPTH, MAX_VALUES, Brief

_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS |= {change(word): value for word, value in _WORDS.items() for change in (str.upper, str.capitalize)}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MOST_DIGITS = 400
"""Of a whole number; one of more is beyond every float."""
_UNSET = object()


def read_json(where: str, text: str) -> Any:
    """The data of a JSON text whose mappings have no key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise _twice(where, key)
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique, parse_int=_integer)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise ValueError(sentence(where, "text", "JSON", at, f"{error.msg}.")) from error
    except RecursionError as error:
        raise _too_deep(where) from error


def read_events(where: str, events: Iterable[Any]) -> Any:
    """The data of the events of one YAML document."""
    result: list[Any] = []
    frames: list[list[Any]] = [[result, _UNSET]]
    for count, event in enumerate(events):
        kind = type(event).__name__
        if count > 2 * MAX_VALUES:
            raise ValueError(sentence(where, "text", f"of at most {MAX_VALUES} values", "more"))
        if kind == "AliasEvent" or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise ValueError(sentence(where, "text", "without aliases, anchors and tags", _position(event)))
        if kind == "DocumentStartEvent" and result:
            raise ValueError(sentence(where, "text", "one document", "more"))
        if kind == "ScalarEvent":
            _place(where, frames[-1], _scalar(event))
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            inner: Any = {} if kind == "MappingStartEvent" else []
            _place(where, frames[-1], inner)
            frames.append([inner, _UNSET])
            if len(frames) > MAX_DEPTH + 2:
                raise _too_deep(where)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            frames.pop()
    return result[0] if result else None


def _place(where: str, frame: list[Any], value: Any) -> None:
    """Puts a value where it belongs: in a list, or as a key or the value of one."""
    container, key = frame
    if isinstance(container, list):
        container.append(value)
    elif key is not _UNSET:
        container[key], frame[1] = value, _UNSET
    elif not isinstance(value, str):
        raise TypeError(sentence(where, "every key of a mapping", "a string", Brief(value)))
    elif value in container:
        raise _twice(where, value)
    else:
        frame[1] = value


def _scalar(event: Any) -> Any:
    return event.value if event.style not in (None, "") else plain_scalar(event.value)


def plain_scalar(text: str) -> Any:
    """What a scalar without quotes is."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else float(text)


def _position(event: Any) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _twice(where: str, key: str) -> ValueError:
    return ValueError(sentence(where, "every key of a mapping", "given once", Brief(key)))


def _too_deep(where: str) -> ValueError:
    return ValueError(sentence(where, "text", f"nested at most {MAX_DEPTH} deep", "more"))
