"""The arguments of schedules: checked, and brought into one hashable form, so that equal ones make equal schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

from .errors import choice, flag, sentence

Arguments = tuple[tuple[str, Any], ...]
"""Every argument of a schedule by name, defaults too, in the order of the signature."""

INTERPOLATIONS = ("linear", "cosine")
CYCLE = {"init_value": None, "peak_value": None, "warmup_steps": None, "decay_steps": None}
CYCLE_DEFAULTS = {"end_value": 0.0, "exponent": 1.0}
"""The arguments of one cycle of a schedule with warm restarts: those that must be given, and the others."""

_NUMBER = "a finite number"
_LARGE = 2**63
_ANY_CALLABLE = "Any other callable from step to factor is a schedule too."


def canonical(name: str, given: Mapping[str, Any]) -> Arguments:
    """The checked arguments of the schedule function of a name."""
    checks = _CHECKS | ({"end_value": _optional_number} if "exponential" in name else {})
    arguments = tuple((key, checks.get(key, number)(name, key, value)) for key, value in given.items())
    _check_together(name, dict(arguments))
    return arguments


def native(arguments: Arguments) -> dict[str, Any]:
    """The arguments as the schedule functions take them: with mappings where the hashable form has pairs."""
    given = dict(arguments)
    if given.get("boundaries_and_scales") is not None:
        given["boundaries_and_scales"] = dict(given["boundaries_and_scales"])
    if "cosine_kwargs" in given:
        given["cosine_kwargs"] = [dict(cycle) for cycle in given["cosine_kwargs"]]
    return given


def number(where: str, argument: str, value: Any) -> int | float:
    """A finite Python number: a whole one stays whole."""
    if (type(value) is float and abs(value) < math.inf) or (type(value) is int and abs(value) < _LARGE):
        return value  # at once: an abstract class takes as long to ask as all the rest
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(sentence(where, argument, _NUMBER, value, _ANY_CALLABLE))
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(sentence(where, argument, _NUMBER, value))
    return int(value) if isinstance(value, Integral) else float(value)


def out_of_range(name: str, arguments: Arguments) -> ValueError:
    """The error for numbers that are finite but whose product or quotient is not."""
    return ValueError(sentence(name, "arguments", "within the range of floating point", dict(arguments)))


def unknown(name: str, known: list[str]) -> AttributeError:
    """The error for a schedule that there is not: it lists the nearest names."""
    shown = ", ".join(map(repr, get_close_matches(name[:100], known, n=3, cutoff=0.3) or sorted(known)[:3]))
    return AttributeError(sentence("schedules", "name", "that of a schedule", name, f"Nearest names: {shown}."))


def _optional_number(where: str, argument: str, value: Any) -> int | float | None:
    return None if value is None else number(where, argument, value)


def _interpolation(where: str, argument: str, value: Any) -> str:
    return choice(where, argument, value, INTERPOLATIONS)


def _scales(where: str, argument: str, value: Any) -> tuple[tuple[float, float], ...] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(sentence(where, argument, "a mapping from steps to scales, or None", value))
    pairs = [(number(where, argument, step), number(where, argument, scale)) for step, scale in value.items()]
    if any(scale < 0 for _, scale in pairs):
        raise ValueError(sentence(where, argument, "a mapping to scales >= 0", dict(pairs)))
    return tuple(sorted(pairs))


def _sequence(where: str, argument: str, value: Any, expected: str) -> tuple[Any, ...]:
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        raise TypeError(sentence(where, argument, expected, value))
    return tuple(value)


def _schedules(where: str, argument: str, value: Any) -> tuple[Callable[[Any], Any], ...]:
    members = _sequence(where, argument, value, "a sequence of schedules")
    for member in members:
        if not callable(member):
            raise TypeError(sentence(where, argument, "a sequence of schedules", member))
    if not members:
        raise ValueError(sentence(where, argument, "at least one schedule", members))
    return members


def _boundaries(where: str, argument: str, value: Any) -> tuple[int | float, ...]:
    members = _sequence(where, argument, value, "a sequence of steps")
    return tuple(number(where, argument, member) for member in members)


def _cycles(where: str, argument: str, value: Any) -> tuple[Arguments, ...]:
    cycles = tuple(_cycle(where, argument, cycle) for cycle in _sequence(where, argument, value, _CYCLES))
    if not cycles:
        raise ValueError(sentence(where, argument, "at least one cycle", cycles))
    return cycles


def _cycle(where: str, argument: str, given: Any) -> Arguments:
    if not isinstance(given, Mapping):
        raise TypeError(sentence(where, argument, _CYCLES, given))
    if not CYCLE.keys() <= given.keys() <= (CYCLE | CYCLE_DEFAULTS).keys():
        raise ValueError(sentence(where, argument, _CYCLES, given))
    whole = CYCLE | CYCLE_DEFAULTS | dict(given)
    cycle = tuple((key, number(where, argument, value)) for key, value in whole.items())
    _check_together("warmup_cosine_decay_schedule", dict(cycle))
    return cycle


_CYCLES = "a sequence of mappings, each the arguments of warmup_cosine_decay_schedule"
_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    "boundaries": _boundaries,
    "boundaries_and_scales": _scales,
    "cosine_kwargs": _cycles,
    "interpolate_type": _interpolation,
    "schedules": _schedules,
    "staircase": flag,
}


def _check_together(name: str, given: Mapping[str, Any]) -> None:
    """What the value of one argument asks of another, or one schedule of an argument that others leave free."""
    positive = {
        "cosine_decay_schedule": ("decay_steps",),
        "cosine_onecycle_schedule": ("transition_steps", "div_factor", "final_div_factor"),
        "linear_onecycle_schedule": ("transition_steps", "div_factor", "final_div_factor"),
    }
    for argument in positive.get(name, ()):
        if not given[argument] > 0:
            raise ValueError(sentence(name, argument, "> 0", given[argument]))
    if name == "warmup_cosine_decay_schedule" and not given["decay_steps"] > given["warmup_steps"]:
        raise ValueError(
            sentence(name, "decay_steps", f"> warmup_steps, {given['warmup_steps']}", given["decay_steps"])
        )
    if name == "join_schedules" and len(given["boundaries"]) != len(given["schedules"]) - 1:
        expected = f"one fewer than the {len(given['schedules'])} schedules"
        raise ValueError(sentence(name, "boundaries", expected, given["boundaries"]))
