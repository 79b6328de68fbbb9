"""Schedules refuse what they cannot be made from: one sentence, the same in both packages."""

from __future__ import annotations

import math
from typing import Any

import pytest

from parity_tests.backends import PACKAGES, package
from parity_tests.schedule_cases import CYCLE

EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
HINT = " Any other callable from step to factor is a schedule too."
REFUSED: list[tuple[type[Exception], str, Any]] = [
    (
        TypeError,
        f"constant_schedule: value must be a finite number; got '1'.{HINT}",
        lambda s: s.constant_schedule("1"),
    ),
    (
        TypeError,
        f"constant_schedule: value must be a finite number; got True.{HINT}",
        lambda s: s.constant_schedule(True),
    ),
    (ValueError, "constant_schedule: value must be a finite number; got nan.", lambda s: s.constant_schedule(math.nan)),
    (
        ValueError,
        f"constant_schedule: value must be a finite number; got {10**400}.",
        lambda s: s.constant_schedule(10**400),
    ),
    (
        TypeError,
        f"linear_schedule: transition_steps must be a finite number; got None.{HINT}",
        lambda s: s.linear_schedule(0, 1, None),
    ),
    (
        TypeError,
        "exponential_decay: staircase must be True or False; got 1.",
        lambda s: s.exponential_decay(1, 1, 1, staircase=1),
    ),
    (ValueError, "cosine_decay_schedule: decay_steps must be > 0; got 0.", lambda s: s.cosine_decay_schedule(1.0, 0)),
    (
        ValueError,
        "warmup_cosine_decay_schedule: decay_steps must be > warmup_steps, 9; got 9.",
        lambda s: s.warmup_cosine_decay_schedule(0, 1, 9, 9),
    ),
    (
        ValueError,
        "linear_onecycle_schedule: transition_steps must be > 0; got -1.",
        lambda s: s.linear_onecycle_schedule(-1, 1.0),
    ),
    (
        ValueError,
        "cosine_onecycle_schedule: div_factor must be > 0; got 0.",
        lambda s: s.cosine_onecycle_schedule(9, 1.0, div_factor=0),
    ),
    (
        ValueError,
        "piecewise_constant_schedule: boundaries_and_scales must be a mapping to scales >= 0; got {5: -1.0}.",
        lambda s: s.piecewise_constant_schedule(1.0, {5: -1.0}),
    ),
    (
        TypeError,
        "piecewise_constant_schedule: boundaries_and_scales must be a mapping from steps to scales, or None; got [5].",
        lambda s: s.piecewise_constant_schedule(1.0, [5]),
    ),
    (
        ValueError,
        "piecewise_interpolate_schedule: interpolate_type must be one of 'linear', 'cosine'; got 'cubic'.",
        lambda s: s.piecewise_interpolate_schedule("cubic", 1.0),
    ),
    (
        ValueError,
        "join_schedules: schedules must be at least one schedule; got ().",
        lambda s: s.join_schedules([], []),
    ),
    (
        TypeError,
        "join_schedules: schedules must be a sequence of schedules; got 1.0.",
        lambda s: s.join_schedules([1.0], []),
    ),
    (
        ValueError,
        "join_schedules: boundaries must be one fewer than the 1 schedules; got (3,).",
        lambda s: s.join_schedules([abs], [3]),
    ),
    (
        TypeError,
        "join_schedules: boundaries must be a sequence of steps; got {5: 1}.",
        lambda s: s.join_schedules([abs, abs], {5: 1}),
    ),
    (
        TypeError,
        "join_schedules: boundaries must be a sequence of steps; got 5.",
        lambda s: s.join_schedules([abs, abs], 5),
    ),
    (ValueError, "sgdr_schedule: cosine_kwargs must be at least one cycle; got ().", lambda s: s.sgdr_schedule([])),
]


@EVERY_FRAMEWORK
@pytest.mark.parametrize(("kind", "sentence", "call"), REFUSED, ids=[f"{i}" for i in range(len(REFUSED))])
def test_bad_arguments_are_refused(framework: str, kind: type[Exception], sentence: str, call: Any) -> None:
    """At construction, with one sentence in both packages, wherever optax refuses or would fail later."""
    with pytest.raises(kind) as caught:
        call(package(framework).schedules)
    assert str(caught.value) == sentence


@EVERY_FRAMEWORK
@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.sgdr_schedule([{"init_value": 0.0}]),
        lambda s: s.sgdr_schedule([{**CYCLE, "decay_rate": 1.0}]),
        lambda s: s.sgdr_schedule([{**CYCLE, "warmup_steps": 200}]),
        lambda s: s.cosine_onecycle_schedule(1e300, 1.0, pct_start=1e300),
        lambda s: s.cosine_onecycle_schedule(9, 1.0, div_factor=1e-200, final_div_factor=1e-200),
    ],
)
def test_arguments_that_do_not_fit_together_are_a_value_error(framework: str, call: Any) -> None:
    """Never the error of an arithmetic that the caller does not see."""
    with pytest.raises(ValueError, match=r"_schedule: .* must be .*; got "):
        call(package(framework).schedules)


@EVERY_FRAMEWORK
def test_what_must_be_positive_may_be_small(framework: str) -> None:
    """One step, and a factor below 1."""
    schedules = package(framework).schedules
    assert float(schedules.cosine_decay_schedule(1.0, 1)(1)) == pytest.approx(0.0, abs=1e-7)
    assert float(schedules.cosine_onecycle_schedule(9, 1.0, div_factor=0.5)(0)) == pytest.approx(2.0, rel=1e-6)
