"""Where a formula changes its form the two forms meet, to the last roundings of float64, on either side of the place.

The bound of the table in float64 is 1e-13, a hundred times what these forms round, and passes one that is off by 1e-14.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from parity_tests.backends import FAST, Problem, value_and_grad
from parity_tests.bounds import factor
from parity_tests.configs import Config
from parity_tests.precision import unit
from parity_tests.test_elementwise import VECTOR, in_digits, one

CROSSINGS: list[tuple[Config, float]] = [
    *((one("PseudoHuber", delta=delta), delta) for delta in (0.3, 40.0)),
    *((one("LogSum", eps=eps), eps) for eps in (1e-6, 0.03, 1e6)),
    *((one("StudentT", scale=scale), scale) for scale in (1e-6, 0.6, 1e6)),
    *((one("TransformedL1", a=a), a) for a in (1e-3, 0.7, 1e6)),
    *((one("TanhL1", scale=scale), 1 / scale) for scale in (1e-3, 0.2, 30.0)),
    *((one("Lp", p=p, eps=eps), eps**0.5) for p, eps in ((0.5, 1e-4), (1.0, 1e-8), (1.5, 0.01), (3.0, 0.01))),
]


def sizes(unit_of_size: float) -> list[float]:
    """Powers of two and what lies between them, from far below to far above the place where a form could change."""
    return [by * unit_of_size * 2.0**exponent for exponent in range(-4, 44) for by in (1.0, 1.5)]


digits = cache(in_digits)


@pytest.mark.parametrize("mode", FAST)
@pytest.mark.parametrize(("penalty", "unit_of_size"), CROSSINGS, ids=str)
def test_no_digit_is_lost_where_a_form_changes(penalty: Config, unit_of_size: float, mode: str) -> None:
    """Each element's value and slope, by the formula in 400 digits, within the oracle's own count of roundings."""
    for x in sizes(unit_of_size):
        value, slope = digits(penalty, x)
        due = penalty.oracle(np.array([x]), VECTOR)
        got = value_and_grad(mode, penalty.build, Problem(np.array([x]), "float64", VECTOR))
        allowed = factor(penalty.name, "value", due) * unit("float64") * due.scale
        assert abs(float(got.value.array) - value) <= allowed, x
        allowed = factor(penalty.name, "gradient", due) * unit("float64") * float(due.gradient_scale[0])
        assert abs(float(got.gradient.array[0]) - slope) <= allowed, x
