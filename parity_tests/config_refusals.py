"""Configs that are wrong, with the kind of error and the sentence behind ``Regularizer.from_dict: ``."""

from __future__ import annotations

import math
from typing import Any

from parity_tests.config_cases import simple

P, T, S = "terms[0].penalty", "terms[0].target", "terms[0].schedule"
LINE = {"is": "linear_schedule", "init_value": 0, "end_value": 1, "transition_steps": 9}
STEPS = {"is": "piecewise_constant_schedule", "init_value": 1}
SUM = {"is": "Sum", "parts": [{"times": 1, "penalty": {"is": "L1", "strength": 1}}]}
NUMBER = "a finite number >= 0"
REFUSED: list[tuple[Any, type[Exception], str]] = [
    ([], TypeError, "data must be a mapping; got []."),
    ({}, ValueError, "twinreg must be 1, the version of the schema; got None."),
    ({"twinreg": "1"}, TypeError, "twinreg must be 1, the version of the schema; got '1'."),
    ({"twinreg": 2}, ValueError, "twinreg must be 1, the version of the schema that this release reads; got 2."),
    ({"twinreg": 1}, ValueError, "terms must be given; got None."),
    ({"twinreg": 1, "terms": []}, ValueError, "terms must be a list of at least one; got []."),
    ({"twinreg": 1, "terms": {}}, TypeError, "terms must be a list; got {}."),
    ({"twinreg": 1, "terms": [0]}, TypeError, "terms[0] must be a mapping; got 0."),
    (simple() | {"term": 1}, LookupError, "term must be a known key; got 'term'. Nearest names: 'terms'."),
    (simple(nmae="a"), LookupError, "terms[0].nmae must be a known key; got 'nmae'. Nearest names: 'name'."),
    (
        simple(**{"a b": 1}),
        LookupError,
        "terms[0]['a b'] must be a known key; got 'a b'. Nearest names: 'name', 'penalty', 'schedule'.",
    ),
    (simple(penalty=...), ValueError, "terms[0].penalty must be given; got None."),
    (simple(target=...), ValueError, "terms[0].target must be given; got None."),
    (simple(name=""), ValueError, "terms[0].name must be a non-empty string or None; got ''."),
    (simple(name=3), TypeError, "terms[0].name must be a non-empty string or None; got 3."),
    (simple(penalty="L1"), TypeError, f"{P} must be a mapping; got 'L1'."),
    (simple(penalty__is=...), ValueError, f"{P}.is must be the name of a penalty; got None."),
    (simple(penalty__is=1), TypeError, f"{P}.is must be the name of a penalty; got 1."),
    (simple(penalty__is="Penalty"), LookupError, f"{P}.is must be the name of a penalty; got 'Penalty'."),
    (simple(penalty__strength=...), ValueError, f"{P}.strength must be given; got None."),
    (simple(penalty__strength=None), TypeError, f"{P}.strength must be a number; got None."),
    (simple(penalty__strength=True), TypeError, f"{P}.strength must be a number; got True."),
    (simple(penalty__strength="0.1"), TypeError, f"{P}.strength must be a number; got '0.1'."),
    (simple(penalty__strength=-1), ValueError, f"{P}.strength must be {NUMBER}; got -1."),
    (
        simple(penalty__strenght=1),
        LookupError,
        f"{P}.strenght must be a known key; got 'strenght'. Nearest names: 'strength'.",
    ),
    (
        simple(penalty__is="Orthogonal", penalty__side="left"),
        ValueError,
        f"{P}.side must be one of 'out', 'in', 'min', 'both'; got 'left'.",
    ),
    (
        simple(penalty__is="GroupLasso", penalty__groups=["rows"]),
        ValueError,
        f"{P}.groups must be one of 'out', 'in', 'kernel', 'sample', 'position', 'feature', "
        "or a tuple of them; got ('rows',).",
    ),
    (
        simple(penalty__is="GroupLasso", penalty__groups=[1]),
        TypeError,
        f"{P}.groups must be a string or a list, each of it a string; got [1].",
    ),
    (
        simple(penalty__is="GroupLasso", penalty__size_weighted=1),
        TypeError,
        f"{P}.size_weighted must be true or false; got 1.",
    ),
    (simple(penalty={"is": "Sum"}), ValueError, f"{P}.parts must be given; got None."),
    (simple(penalty={"is": "Sum", "parts": []}), ValueError, f"{P}.parts must be a list of at least one; got []."),
    (
        simple(penalty=SUM | {"parts": [{"times": -1, "penalty": {"is": "L1", "strength": 1}}]}),
        ValueError,
        f"{P}.parts[0].times must be {NUMBER}; got -1.",
    ),
    (
        simple(penalty=SUM | {"parts": [{"times": 1, "penalty": {"is": "L1"}}]}),
        ValueError,
        f"{P}.parts[0].penalty.strength must be given; got None.",
    ),
    (
        simple(target__is="param"),
        LookupError,
        f"{T}.is must be the name of a kind of target; got 'param'. Nearest names: 'params'.",
    ),
    (simple(target__per="batch"), LookupError, f"{T}.per must be a known key; got 'per'. Nearest names: 'pattern'."),
    (
        simple(target__role="weight"),
        ValueError,
        f"{T}.role must be one of 'kernel', 'bias', 'scale', 'embedding'; got 'weight'.",
    ),
    (
        simple(target__pattern=3),
        TypeError,
        f"{T}.pattern must be a glob, a compiled re.Pattern, or a tuple of them; got 3.",
    ),
    (simple(target__pattern=[]), ValueError, f"{T}.pattern must be at least one pattern; got ()."),
    (simple(target__pattern={"regex": 3}), TypeError, f"{T}.pattern.regex must be a regular expression; got 3."),
    (
        simple(target__exclude=["a", {"regx": "b"}]),
        LookupError,
        f"{T}.exclude[1].regx must be a known key; got 'regx'. Nearest names: 'regex'.",
    ),
    (
        simple(target__pattern={"regex": "a", "flags": ["X"]}),
        ValueError,
        f"{T}.pattern.flags[0] must be one of 'ASCII', 'DOTALL', 'IGNORECASE', 'MULTILINE', 'VERBOSE'; got 'X'.",
    ),
    (simple(target__joint=0), TypeError, f"{T}.joint must be True or False; got 0."),
    (
        simple(target__layout=["out", 1]),
        TypeError,
        f"{T}.layout must be a tuple of 'out', 'in', 'k0', 'k1', ..., 'piece', products such as "
        "'piece:4*out', and at most one '...'; got ('out', 1).",
    ),
    (
        simple(target={"is": "activations"}),
        ValueError,
        f"{T}.pattern must be given, or type; got None. '**' everywhere would count every container again.",
    ),
    (
        simple(target={"is": "activations", "pattern": "a", "per": "sample"}),
        ValueError,
        f"{T}.per must be one of 'batch', 'example', 'position', 'element'; got 'sample'.",
    ),
    (
        simple(target={"is": "activations", "type": ""}),
        ValueError,
        f"{T}.type must be at least one class or class name; got ''.",
    ),
    (simple(schedule=1), TypeError, f"{S} must be a mapping; got 1."),
    (
        simple(schedule={"is": "linear_shedule"}),
        LookupError,
        f"{S}.is must be the name of a schedule; got 'linear_shedule'. "
        "Nearest names: 'linear_schedule', 'linear_onecycle_schedule', 'join_schedules'.",
    ),
    (simple(schedule={"is": "Schedule"}), LookupError, f"{S}.is must be the name of a schedule; got 'Schedule'."),
    (simple(schedule={"is": "constant_schedule"}), ValueError, f"{S}.value must be given; got None."),
    (
        simple(schedule={"is": "constant_schedule", "value": "1"}),
        TypeError,
        f"{S}.value must be a finite number; got '1'.",
    ),
    (
        simple(schedule={"is": "cosine_decay_schedule", "init_value": 1, "decay_steps": 0}),
        ValueError,
        f"{S}.decay_steps must be > 0; got 0.",
    ),
    (simple(schedule=LINE | {"power": 2}), LookupError, f"{S}.power must be a known key; got 'power'. Nearest names:"),
    (
        simple(schedule=STEPS | {"boundaries_and_scales": {"5": 1}}),
        TypeError,
        f"{S}.boundaries_and_scales must be a list; got {{'5': 1}}.",
    ),
    (
        simple(schedule=STEPS | {"boundaries_and_scales": [[5]]}),
        TypeError,
        f"{S}.boundaries_and_scales[0] must be a pair of a step and a scale; got [5].",
    ),
    (
        simple(schedule=STEPS | {"boundaries_and_scales": [[5, -1]]}),
        ValueError,
        f"{S}.boundaries_and_scales must be a mapping to scales >= 0; got {{5: -1}}.",
    ),
    (
        simple(schedule={"is": "join_schedules", "schedules": [LINE | {"is": "x"}], "boundaries": []}),
        LookupError,
        f"{S}.schedules[0].is must be the name of a schedule; got 'x'.",
    ),
    (
        simple(schedule={"is": "sgdr_schedule", "cosine_kwargs": [{}]}),
        ValueError,
        f"{S}.cosine_kwargs must be a sequence of mappings, each the arguments of warmup_cosine_decay_schedule; "
        "got {}.",
    ),
]
# What JSON Schema cannot say, or a validator does not look at.
BEYOND_SCHEMA: list[tuple[Any, type[Exception], str]] = [
    (
        {"twinreg": 1, "terms": 2 * simple(name="a")["terms"]},
        ValueError,
        "terms[1].name must be different for every term; got 'a'.",
    ),
    (simple(penalty__strength=math.nan), ValueError, f"{P}.strength must be a finite number; got nan."),
    (simple(penalty__strength=math.inf), ValueError, f"{P}.strength must be a finite number; got inf."),
    (simple(penalty__strength=10**400), ValueError, f"{P}.strength must be of at most 64 bits; got '1329 bits'."),
    (simple(name="\ud800"), ValueError, "terms[0].name must be a string that Unicode can encode; got '\\ud800'."),
    (simple(penalty={1: 2}), TypeError, f"{P} must be a mapping whose keys are strings; got 1."),
    (
        simple(name=object),
        TypeError,
        "terms[0].name must be plain data: a mapping, a list, a string, a number, true, false or null; "
        "got <class 'object'>.",
    ),
    (
        simple(target__pattern={"regex": "("}),
        ValueError,
        f"{T}.pattern.regex must be a regular expression; got '('. missing ), unterminated subpattern at position 0.",
    ),
    (
        simple(target__pattern="a..b"),
        ValueError,
        f"{T}.pattern must be a dotted path without empty segments; got 'a..b'.",
    ),
    (simple(target__layout=["sample"]), ValueError, f"{T}.layout must be a tuple of 'out', 'in', "),
    (
        simple(
            schedule={
                "is": "warmup_cosine_decay_schedule",
                "init_value": 0,
                "peak_value": 1,
                "warmup_steps": 9,
                "decay_steps": 9,
            }
        ),
        ValueError,
        f"{S}.decay_steps must be > warmup_steps, 9; got 9.",
    ),
    (
        simple(schedule=STEPS | {"boundaries_and_scales": [[5, 1], [5, 2]]}),
        ValueError,
        f"{S}.boundaries_and_scales[1] must be of a step that no other pair has; got [5, 2].",
    ),
    (
        simple(schedule={"is": "join_schedules", "schedules": [LINE], "boundaries": [1]}),
        ValueError,
        f"{S}.boundaries must be one fewer than the 1 schedules; got (1,).",
    ),
    (
        simple(
            schedule={"is": "cosine_onecycle_schedule", "transition_steps": 1e300, "peak_value": 1, "pct_start": 1e300}
        ),
        ValueError,
        f"{S} must be accepted by cosine_onecycle_schedule; got {{",
    ),
]
