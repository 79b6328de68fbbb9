"""The JSON Schema (draft 2020-12) of configs, made from a vocabulary."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable
from typing import Any, Literal, Union, get_args, get_origin

from .decode import FLAGS, TARGETS, VERSION
from .plain import MAX_CHARACTERS, MAX_TERMS
from .probe import bounds, choices, refusals
from .schedule import CYCLE, CYCLE_DEFAULTS
from .vocabulary import KIND, SUM, Argument, Vocabulary, of_function

Schema = dict[str, Any]

_NUMBER: Schema = {"type": "number"}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
_REGEX: Schema = {
    "type": "object",
    "properties": {
        "regex": {"type": "string", "maxLength": MAX_CHARACTERS},
        "flags": {"type": "array", "items": {"enum": list(FLAGS)}, "minItems": 1},
    },
    "required": ["regex"],
    "additionalProperties": False,
}
_PATTERN: Schema = {"anyOf": [{"type": "string", "maxLength": MAX_CHARACTERS}, _REGEX]}
_NULL: Schema = {"type": "null"}


def schema_of(vocabulary: Vocabulary) -> Schema:
    """The schema of every config that the package can read without classes of the caller's."""
    targets = {name: _target(name, function) for name, function in TARGETS.items()}
    penalties = {name: _made(name, cls, vocabulary.fields[name]) for name, cls in vocabulary.penalties.items()}
    makers = {name: _schedule(name, make, vocabulary) for name, make in vocabulary.schedules.items()}
    term = {"name": _or_null(_NAME), "penalty": _ref("penalty"), "target": _ref("target"), "schedule": _ref("schedule")}
    part = {"times": _NUMBER | {"minimum": 0}, "penalty": _ref("penalty")}
    total = {"parts": {"type": "array", "items": _object(part, list(part)), "minItems": 1}}
    definitions = {
        "term": _object(term, ["penalty", "target"]),
        "target": _one_of(targets),
        "penalty": _one_of([*penalties, SUM]),
        "schedule": {"anyOf": [_NULL, _one_of(makers)]},
        "pattern": _PATTERN,
        SUM: _kind(SUM, total, ["parts"]),
        **targets,
        **dict(sorted(penalties.items())),
        **dict(sorted(makers.items())),
    }
    terms = {"type": "array", "items": _ref("term"), "minItems": 1, "maxItems": MAX_TERMS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A regularizer of twinreg",
        **_object({"twinreg": {"const": VERSION}, "terms": terms}, ["twinreg", "terms"]),
        "$defs": definitions,
    }


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _kind(name: str, properties: Schema, required: list[str]) -> Schema:
    return _object({KIND: {"const": name}, **properties}, [KIND, *required])


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _one_of(known: Iterable[str]) -> Schema:
    names = sorted(known)
    return {"type": "object", "properties": {KIND: {"enum": names}}, "oneOf": [_ref(name) for name in names]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


def _required(arguments: tuple[Argument, ...]) -> list[str]:
    return [argument.name for argument in arguments if argument.required]


def _made(name: str, make: Callable[..., Any], arguments: tuple[Argument, ...]) -> Schema:
    """What a call takes: the kinds of its type hints, within what its refusals say."""
    said = refusals(make, arguments)
    properties = {
        argument.name: _narrowed(_hinted(argument.hint), said.get(argument.name, [])) for argument in arguments
    }
    return _kind(name, properties, _required(arguments))


def _narrowed(schema: Schema, said: list[str]) -> Schema:
    """A schema within the bounds and the choices that texts say."""
    if "anyOf" in schema:
        return {"anyOf": [_narrowed(member, said) for member in schema["anyOf"]]}
    for expected in said:
        words = choices(expected)
        if schema.get("type") in ("number", "integer"):
            schema = schema | bounds(expected)
        elif words and schema.get("type") == "string":
            schema = {"enum": words}
        elif words and schema.get("type") == "array":
            schema = schema | {"items": {"enum": words}, "minItems": 1}
    return schema


def _hinted(hint: Any) -> Schema:
    """The schema of a type hint; what plain data cannot be is left out of a union."""
    simple = {float: _NUMBER, int: {"type": "integer"}, str: {"type": "string"}, bool: {"type": "boolean"}}
    simple |= {types.NoneType: _NULL, re.Pattern[str]: _REGEX}
    if hint in simple:
        return simple[hint]
    origin, members = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_hinted(member) for member in members if member is not type]}
    if origin is Literal:
        return {"enum": list(members)}
    if origin is tuple and members[1:] == (...,):
        return {"type": "array", "items": _hinted(members[0])}
    return {"type": "array", "prefixItems": list(map(_hinted, members)), "items": False} if origin is tuple else {}


def _target(name: str, function: Callable[..., Any]) -> Schema:
    patterns = {"anyOf": [_ref("pattern"), {"type": "array", "items": _ref("pattern")}]}
    own: Schema = {
        "pattern": {"anyOf": [_ref("pattern"), {"type": "array", "items": _ref("pattern"), "minItems": 1}]},
        "exclude": patterns,
        "layout": _or_null({"type": "array", "items": _NAME}),
        "mask": _or_null(_NAME),
        "type": {"anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1}, _NULL]},
    }
    if name == "activations":
        own["pattern"]["anyOf"].append(_NULL)
    arguments = of_function(function)
    found = _kind(name, {a.name: own.get(a.name) or _non_empty(_hinted(a.hint)) for a in arguments}, [])
    return found | ({"anyOf": [{"required": ["pattern"]}, {"required": ["type"]}]} if name == "activations" else {})


def _non_empty(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return {"anyOf": [_non_empty(member) for member in schema["anyOf"]]}
    return schema | {"minItems": 1} if schema.get("type") == "array" else schema


def _schedule(name: str, function: Callable[..., Any], vocabulary: Vocabulary) -> Schema:
    scale = {"type": "array", "prefixItems": [_NUMBER, _NUMBER | {"minimum": 0}], "items": False, "minItems": 2}
    cycle = _object(dict.fromkeys((*CYCLE, *CYCLE_DEFAULTS), _NUMBER), list(CYCLE))
    own: Schema = {
        "boundaries": {"type": "array", "items": _NUMBER},
        "boundaries_and_scales": _or_null({"type": "array", "items": scale}),
        "cosine_kwargs": {"type": "array", "items": cycle, "minItems": 1},
        "schedules": {"type": "array", "items": _one_of(vocabulary.schedules), "minItems": 1},
    }
    arguments = vocabulary.parameters[name]
    found = _made(name, function, arguments)
    for argument in arguments:
        schema = found["properties"][argument.name]
        if schema.get("type") == "integer":  # a part of all steps is a number like any other
            schema = schema | _NUMBER
        found["properties"][argument.name] = own.get(argument.name, schema)
    return found
