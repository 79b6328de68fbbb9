"""The computation of schedules: on Python numbers in Python's floats, on tensors without a look at their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from numbers import Real
from operator import mul
from typing import Any

import torch
from torch import Tensor

from ._spec.errors import sentence

Curve = Callable[[Any], Any]


def build(name: str, given: dict[str, Any]) -> Curve:
    """The function from step to factor."""
    curve = _CURVES[name](**given)
    return lambda count: curve(_step(count))


def _step(count: Any) -> Any:
    """A step that can be computed with: a half-precision one could not count beyond a few hundred."""
    if isinstance(count, Tensor):
        if count.is_complex() or count.dtype == torch.bool:
            raise TypeError(sentence("Schedule", "count", "a number of steps", str(count.dtype)))
        return count.float() if count.dtype in (torch.float16, torch.bfloat16) else count
    if isinstance(count, int | float):
        return count
    if not isinstance(count, Real):
        raise TypeError(sentence("Schedule", "count", "a number of steps", count))
    return float(count)


def _as(count: Any, value: Any) -> Tensor:
    """A value as a tensor beside a step, made on its device."""
    if isinstance(value, Tensor):
        return value
    dtype = count.dtype if count.is_floating_point() else torch.get_default_dtype()
    return torch.full((), value, dtype=dtype, device=count.device)


def _where(count: Any, condition: Any, yes: Any, no: Any) -> Any:
    if isinstance(count, Tensor):
        return torch.where(condition, _as(count, yes), _as(count, no))
    return yes if condition else no


def _unless_nan(count: Any, value: Any) -> Any:
    """A value chosen by comparisons, which say no of a NaN and would hide it."""
    return _where(count, count == count, value, count)


def _clip(x: Any, low: float | None = None, high: float | None = None) -> Any:
    if isinstance(x, Tensor):
        return x.clamp(low, high)
    x = x if low is None else max(x, low)  # in this order a NaN is what stays
    return x if high is None else min(x, high)


def _floor(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.floor()
    return math.floor(x) if math.isfinite(x) else x


def _cos(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.cos()
    return math.cos(x) if math.isfinite(x) else math.nan


def _power(base: Any, exponent: Any) -> Any:
    """As IEEE 754 has it, where Python raises."""
    if isinstance(base, Tensor) or isinstance(exponent, Tensor):
        return base**exponent
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _still(value: float) -> Curve:
    return lambda count: value


def _polynomial(
    init_value: float, end_value: float, power: float, transition_steps: float, transition_begin: float = 0
) -> Curve:
    if transition_steps <= 0:
        return _still(init_value)
    begin = max(transition_begin, 0)

    def curve(count: Any) -> Any:
        left = 1 - _clip(count - begin, 0, transition_steps) / transition_steps
        return (init_value - end_value) * _power(left, power) + end_value

    return curve


def _exponential(
    init_value: float,
    transition_steps: float,
    decay_rate: float,
    transition_begin: float,
    staircase: bool,
    end_value: float | None,
) -> Curve:
    if transition_steps <= 0 or decay_rate == 0:
        return _still(init_value)
    begin = max(transition_begin, 0)
    low, high = (end_value, None) if decay_rate < 1 else (None, end_value)

    def curve(count: Any) -> Any:
        since = count - begin
        exponent = _floor(since / transition_steps) if staircase else since / transition_steps
        value = _where(count, since <= 0, init_value, init_value * _power(decay_rate, exponent))
        return value if end_value is None else _clip(value, low, high)

    return curve


def _cosine(init_value: float, decay_steps: float, alpha: float, exponent: float) -> Curve:
    def curve(count: Any) -> Any:
        fall = 0.5 * (1 + _cos(math.pi * _clip(count, high=decay_steps) / decay_steps))
        return init_value * ((1 - alpha) * _power(fall, exponent) + alpha)

    return curve


def _piecewise(init_value: float, boundaries_and_scales: Mapping[float, float] | None) -> Curve:
    scales = sorted((boundaries_and_scales or {}).items())

    def curve(count: Any) -> Any:
        value = init_value
        for boundary, scale in scales:
            value = _where(count, boundary > count, value, scale * value)
        return _unless_nan(count, value)

    return curve


def _interpolate(
    interpolate_type: str, init_value: float, boundaries_and_scales: Mapping[float, float] | None
) -> Curve:
    steps = sorted((boundaries_and_scales or {}).items())
    bounds = (0, *(step for step, _ in steps))
    values = tuple(accumulate((init_value, *(scale for _, scale in steps)), mul))

    def between(start: float, end: float, part: Any) -> Any:
        if interpolate_type == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (_cos(math.pi * part) + 1)

    def curve(count: Any) -> Any:
        value = _where(count, bounds[-1] <= count, values[-1], 0.0)
        for (low, high), (start, end) in zip(pairwise(bounds), pairwise(values), strict=True):
            part = between(start, end, (count - low) / max(high - low, 1))
            value = value + _where(count, (low <= count) & (count < high), part, 0.0)
        return _unless_nan(count, value)

    return curve


def _linear_onecycle(
    transition_steps: float,
    peak_value: float,
    pct_start: float,
    pct_final: float,
    div_factor: float,
    final_div_factor: float,
) -> Curve:
    scales: dict[float, float] = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1.0 / div_factor,
        transition_steps: 1.0 / final_div_factor,
    }
    return _interpolate("linear", peak_value / div_factor, scales)


def _cosine_onecycle(
    transition_steps: float, peak_value: float, pct_start: float, div_factor: float, final_div_factor: float
) -> Curve:
    scales: dict[float, float] = {
        int(pct_start * transition_steps): div_factor,
        int(transition_steps): 1.0 / (div_factor * final_div_factor),
    }
    return _interpolate("cosine", peak_value / div_factor, scales)


def _warmup(init_value: float, peak_value: float, warmup_steps: float) -> Curve:
    return _polynomial(init_value, peak_value, 1, warmup_steps)


def _warmup_cosine(
    init_value: float, peak_value: float, warmup_steps: float, decay_steps: float, end_value: float, exponent: float
) -> Curve:
    alpha = 0.0 if peak_value == 0.0 else end_value / peak_value
    later = _cosine(peak_value, decay_steps - warmup_steps, alpha, exponent)
    return _join([_warmup(init_value, peak_value, warmup_steps), later], [warmup_steps])


def _warmup_exponential(init_value: float, peak_value: float, warmup_steps: float, **decay: Any) -> Curve:
    later = _exponential(peak_value, **decay)
    return _join([_warmup(init_value, peak_value, warmup_steps), later], [warmup_steps])


def _restarts(cosine_kwargs: Sequence[dict[str, float]]) -> Curve:
    ends = tuple(accumulate(cycle["decay_steps"] for cycle in cosine_kwargs))
    return _join([_warmup_cosine(**cycle) for cycle in cosine_kwargs], ends[:-1])


def _join(schedules: Sequence[Curve], boundaries: Sequence[float]) -> Curve:
    def curve(count: Any) -> Any:
        value = schedules[0](count)
        for boundary, schedule in zip(boundaries, schedules[1:], strict=True):
            value = _where(count, count < boundary, value, schedule(count - boundary))
        return value

    return curve


_CURVES: dict[str, Callable[..., Curve]] = {
    "constant_schedule": _still,
    "cosine_decay_schedule": _cosine,
    "cosine_onecycle_schedule": _cosine_onecycle,
    "exponential_decay": _exponential,
    "join_schedules": _join,
    "linear_onecycle_schedule": _linear_onecycle,
    "linear_schedule": partial(_polynomial, power=1),
    "piecewise_constant_schedule": _piecewise,
    "piecewise_interpolate_schedule": _interpolate,
    "polynomial_schedule": _polynomial,
    "sgdr_schedule": _restarts,
    "warmup_constant_schedule": _warmup,
    "warmup_cosine_decay_schedule": _warmup_cosine,
    "warmup_exponential_decay_schedule": _warmup_exponential,
}
