"""The schedules under test: every function of optax's, with the arguments that change its course."""

from __future__ import annotations

from typing import Any

import pytest

CYCLE = {"init_value": 0.1, "peak_value": 1.0, "warmup_steps": 20, "decay_steps": 200}
CONFIGURATIONS: list[tuple[str, dict[str, Any]]] = [
    ("constant_schedule", {"value": 0.7}),
    ("polynomial_schedule", {"init_value": 1.0, "end_value": 0.1, "power": 2.5, "transition_steps": 700}),
    (
        "polynomial_schedule",
        {"init_value": 1, "end_value": 3, "power": 2, "transition_steps": 50, "transition_begin": 9},
    ),
    (
        "polynomial_schedule",
        {"init_value": 1.0, "end_value": 0.1, "power": 2, "transition_steps": 9, "transition_begin": -5},
    ),
    ("polynomial_schedule", {"init_value": 1.5, "end_value": 0.1, "power": 1, "transition_steps": 0}),
    ("linear_schedule", {"init_value": 0.0, "end_value": 1.0, "transition_steps": 300, "transition_begin": 100}),
    ("exponential_decay", {"init_value": 0.5, "transition_steps": 90, "decay_rate": 0.8}),
    (
        "exponential_decay",
        {
            "init_value": 0.5,
            "transition_steps": 90,
            "decay_rate": 0.8,
            "transition_begin": 7,
            "staircase": True,
            "end_value": 0.2,
        },
    ),
    (
        "exponential_decay",
        {"init_value": 0.5, "transition_steps": 90, "decay_rate": 1.3, "transition_begin": -7, "end_value": 2.0},
    ),
    ("exponential_decay", {"init_value": 0.5, "transition_steps": -1, "decay_rate": 0.8}),
    ("exponential_decay", {"init_value": 0.5, "transition_steps": 10, "decay_rate": 0}),
    ("exponential_decay", {"init_value": 0.5, "transition_steps": 10, "decay_rate": -0.5, "staircase": True}),
    ("polynomial_schedule", {"init_value": 1.0, "end_value": 0.0, "power": -1, "transition_steps": 10}),
    ("exponential_decay", {"init_value": 0.3, "transition_steps": 0, "decay_rate": 0.5}),
    ("exponential_decay", {"init_value": 0.5, "transition_steps": 1, "decay_rate": -10.0}),
    ("cosine_decay_schedule", {"init_value": 0.3, "decay_steps": 640}),
    ("cosine_decay_schedule", {"init_value": 3, "decay_steps": 640, "alpha": 0.1, "exponent": 1.7}),
    ("piecewise_constant_schedule", {"init_value": 2.0}),
    ("piecewise_constant_schedule", {"init_value": 2.0, "boundaries_and_scales": {600: 3.0, 100: 0.1, 0: 0.5}}),
    (
        "piecewise_interpolate_schedule",
        {"interpolate_type": "linear", "init_value": 2.0, "boundaries_and_scales": {600: 3.0, 100: 0.1}},
    ),
    (
        "piecewise_interpolate_schedule",
        {"interpolate_type": "cosine", "init_value": 2, "boundaries_and_scales": {600: 3, 100: 2}},
    ),
    ("piecewise_interpolate_schedule", {"interpolate_type": "cosine", "init_value": 2.0}),
    ("linear_onecycle_schedule", {"transition_steps": 800, "peak_value": 0.9}),
    ("linear_onecycle_schedule", {"transition_steps": 3, "peak_value": 0.9, "pct_start": 0.1, "pct_final": 0.2}),
    ("cosine_onecycle_schedule", {"transition_steps": 800, "peak_value": 0.9, "pct_start": 0.25, "div_factor": 10.0}),
    ("warmup_constant_schedule", {"init_value": 0.0, "peak_value": 0.4, "warmup_steps": 33}),
    ("warmup_cosine_decay_schedule", {**CYCLE, "end_value": 0.05, "exponent": 2.0}),
    ("warmup_cosine_decay_schedule", {**CYCLE, "peak_value": 0.0}),
    (
        "warmup_exponential_decay_schedule",
        {
            "init_value": 0.0,
            "peak_value": 1.0,
            "warmup_steps": 50,
            "transition_steps": 100,
            "decay_rate": 0.5,
            "transition_begin": 10,
            "staircase": True,
            "end_value": 0.1,
        },
    ),
    (
        "sgdr_schedule",
        {"cosine_kwargs": [CYCLE, {**CYCLE, "peak_value": 0.5, "decay_steps": 300, "end_value": 0.01}, CYCLE]},
    ),
]
EVERY_CONFIGURATION = pytest.mark.parametrize(
    ("name", "given"), CONFIGURATIONS, ids=[f"{i}-{name}" for i, (name, _) in enumerate(CONFIGURATIONS)]
)


def joined(schedules: Any) -> Any:
    """Three schedules, one of them a plain callable, one after the other."""
    first = schedules.linear_schedule(0.0, 1.0, 100)
    return schedules.join_schedules([first, lambda step: 0.25 * step, schedules.constant_schedule(0.3)], [100, 400])
