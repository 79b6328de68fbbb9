"""Schedules by optax's names, with optax's arguments and values: functions that make a callable from step to factor.

The step, t below, is counted from 0 and is what ``at(step=...)`` is given. Arguments have one meaning throughout:
``init_value``, ``peak_value`` and ``end_value`` are values of the schedule; ``transition_steps``, ``decay_steps`` and
``warmup_steps`` are how many steps a part lasts; ``transition_begin`` is the step at which a transition begins, before
which the value is ``init_value``. All are finite Python numbers; a TypeError or a ValueError says which is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ._spec.schedule import Arguments, canonical, native, out_of_range, unknown
from .curves import build

__all__ = [
    "Schedule",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "sgdr_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]


@dataclass(frozen=True)
class Schedule:
    """What the functions of ``schedules`` make: a callable from step to factor that is equal by its configuration.

    Args:
        name: the name of the function that made it.
        arguments: all of its arguments, by name and in order; a mapping as pairs.

    Raises:
        ValueError: the arguments are so far apart that what they are computed from is not finite.
    """

    name: str
    arguments: Arguments
    _curve: Callable[[Any], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_curve", build(self.name, native(self.arguments)))
        except ArithmeticError as error:
            raise out_of_range(self.name, self.arguments) from error

    def __call__(self, count: Any) -> Any:
        """The factor at a step: a number of steps, which may be traced."""
        return self._curve(count)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in native(self.arguments).items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Schedule, (self.name, self.arguments)


def _made(name: str, given: Mapping[str, Any]) -> Schedule:
    return Schedule(name, canonical(name, given))


def constant_schedule(value: float) -> Schedule:
    """``value`` at every step."""
    return _made("constant_schedule", locals())


def polynomial_schedule(
    init_value: float, end_value: float, power: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    r"""From one value to another along a power of the part of the way that is left.

    .. math:: e + (i - e)\, (1 - s)^p, \qquad s = \mathrm{clip}(t - b,\, 0,\, T) / T

    with i the ``init_value``, e the ``end_value``, p the ``power``, b the ``transition_begin`` (0 where negative) and
    T the ``transition_steps``; where T is not positive, the value stays at i.
    """
    return _made("polynomial_schedule", locals())


def linear_schedule(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> Schedule:
    """From one value to another in a straight line: :func:`polynomial_schedule` with power 1."""
    return _made("linear_schedule", locals())


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    r"""Multiplied by ``decay_rate`` every ``transition_steps`` steps, continuously.

    .. math:: i\, r^{(t - b) / T} \quad (t > b)

    With ``staircase`` the exponent is rounded down. ``end_value`` is a lower bound where ``decay_rate`` is below 1, an
    upper bound elsewhere. Where ``transition_steps`` is not positive or ``decay_rate`` is 0, the value stays at i.
    """
    return _made("exponential_decay", locals())


def cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> Schedule:
    r"""Down to ``alpha`` times the value at the start, along half a cosine.

    .. math:: i\, \big((1 - \alpha)\, c^{p} + \alpha\big), \qquad c = \tfrac12 (1 + \cos(\pi \min(t, T) / T))

    with T the ``decay_steps``, which must be positive, and p the ``exponent``.

    Source:
        Loshchilov and Hutter (2017), SGDR, equation 5.
    """
    return _made("cosine_decay_schedule", locals())


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """``init_value`` times every scale whose boundary, a step, has been reached; scales are >= 0."""
    return _made("piecewise_constant_schedule", locals())


def piecewise_interpolate_schedule(
    interpolate_type: Literal["linear", "cosine"],
    init_value: float,
    boundaries_and_scales: Mapping[int, float] | None = None,
) -> Schedule:
    """Through the values that :func:`piecewise_constant_schedule` has at 0 and at its boundaries, without jumps.

    Between two of them the way is a straight line (``"linear"``) or half a cosine (``"cosine"``).
    """
    return _made("piecewise_interpolate_schedule", locals())


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """From ``peak_value / div_factor`` up to the peak, back, and down by ``final_div_factor``, in straight lines.

    The peak is at the part ``pct_start`` of the steps, the way back ends at the part ``pct_final``.
    ``transition_steps`` and both factors must be positive.

    Source:
        Smith and Topin (2019), Super-Convergence.
    """
    return _made("linear_onecycle_schedule", locals())


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """From ``peak_value / div_factor`` up to the peak, and down to that divided by ``final_div_factor``.

    Both ways are half a cosine; the peak is at the part ``pct_start`` of the steps. ``transition_steps`` and both
    factors must be positive.

    Source:
        Smith and Topin (2019), Super-Convergence.
    """
    return _made("cosine_onecycle_schedule", locals())


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """In a straight line to ``peak_value``, where it stays."""
    return _made("warmup_constant_schedule", locals())


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    """In a straight line to ``peak_value``, then along :func:`cosine_decay_schedule` to ``end_value``.

    ``decay_steps`` count from step 0, with the warmup: they must be more than ``warmup_steps``.
    """
    return _made("warmup_cosine_decay_schedule", locals())


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """In a straight line to ``peak_value``, then along :func:`exponential_decay`, whose steps begin there."""
    return _made("warmup_exponential_decay_schedule", locals())


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, float]]) -> Schedule:
    """Warm restarts: one :func:`warmup_cosine_decay_schedule` after the other, each given by its arguments by name.

    Source:
        Loshchilov and Hutter (2017), SGDR.
    """
    return _made("sgdr_schedule", locals())


def join_schedules(schedules: Sequence[Callable[[Any], Any]], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each begins at a boundary and is called with the steps since then.

    There is one boundary fewer than schedules. A schedule may be any callable; then the whole is equal only to one of
    the same callable, and cannot be saved.
    """
    return _made("join_schedules", locals())


if not TYPE_CHECKING:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        raise unknown(name, __all__)
