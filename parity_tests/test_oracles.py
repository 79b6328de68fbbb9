"""The oracles tested: against numbers worked out by hand, and their gradients against differences of their values."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from parity_tests.configs import Config, config
from parity_tests.families import CONFIGS, FAMILIES, family_of, fits, targets
from parity_tests.inputs import mask
from parity_tests.oracles import ORACLES
from parity_tests.targets import Target

PAIRS = [(c, t) for c in CONFIGS for t in targets(c) if not t.is_large]
ROOT2 = math.sqrt(2)


VECTOR, MATRIX, BATCH = ("out",), ("out", "in"), ("sample", "feature")
ROWS = [[3, -4], [0, 0]]
ZEROS = [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("penalty", "x", "axes", "value", "gradient"),
    [
        (config("L1", strength=2.0), [3, -4, 0], VECTOR, 14, [2, -2, 0]),
        (config("L2", strength=2.0), [3, -4, 0], VECTOR, 50, [12, -16, 0]),
        (config("ElasticNet", l1=1.0, l2=2.0), [3, -4, 0], VECTOR, 57, [13, -17, 0]),
        (config("L2Norm", strength=2.0), [3, -4, 0], VECTOR, 10, [1.2, -1.6, 0]),
        (config("L2Norm", strength=2.0), [0, 0], VECTOR, 0, [0, 0]),
        (config("GroupLasso", strength=1.0), ROWS, MATRIX, 5 * ROOT2, [[0.6 * ROOT2, -0.8 * ROOT2], [0, 0]]),
        (config("GroupLasso", strength=1.0, groups="in", size_weighted=False), ROWS, MATRIX, 7, [[1, -1], [0, 0]]),
        (config("HoyerSquare", strength=1.0), [3, -4, 0], VECTOR, 49 / 25, [56 / 625, 42 / 625, 0]),
        (config("HoyerSquare", strength=1.0), [[1, 1], [0, 0]], BATCH, 1, [[0, 0], [0, 0]]),
        (config("HoyerSquare", strength=1.0, over="batch"), [[1, 1], [0, 0]], BATCH, 2, [[0, 0], [0, 0]]),
        (config("Orthogonal", strength=1.0), ZEROS, MATRIX, 2, ZEROS),
        (config("Orthogonal", strength=1.0, side="in"), ZEROS, MATRIX, 3, ZEROS),
        (config("Orthogonal", strength=1.0, side="both"), [[2, 0], [0, 1]], MATRIX, 18, [[48, 0], [0, 0]]),
        (config("Orthogonal", strength=1.0), [[0, 1], [-1, 0]], MATRIX, 0, [[0, 0], [0, 0]]),
    ],
    ids=str,
)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: list[Any], axes: tuple[str, ...], value: float, gradient: list[Any]
) -> None:
    """The formula, on numbers small enough for paper."""
    due = penalty.oracle(np.array(x, dtype=float), axes)
    assert due.value == pytest.approx(value, rel=1e-15)
    np.testing.assert_allclose(due.gradient, gradient, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("penalty", "target"), PAIRS, ids=lambda item: getattr(item, "name", str(item)))
def test_gradients_are_the_differences_of_values(penalty: Config, target: Target) -> None:
    """Away from kinks the gradient is the central difference of the value; a masked element has none."""
    rng = np.random.default_rng(7)
    x = rng.choice([-1.0, 1.0], size=target.shape) * rng.uniform(0.5, 2.0, size=target.shape)
    where = mask(target.shape[: target.masked], 3) if target.masked else None
    due = penalty.oracle(x, target.axes, where)
    assert due.scale >= abs(due.value)
    assert np.all(due.gradient_scale * (1 + 1e-15) >= np.abs(due.gradient))
    step = 2.0**-14
    for index in list(np.ndindex(target.shape))[:: max(x.size // 12, 1)]:
        shift = np.zeros(target.shape)
        shift[index] = step
        up, down = (penalty.oracle(x + sign * shift, target.axes, where).value for sign in (1, -1))
        tolerance = 1e-6 * float(due.gradient_scale[index] + due.scale / x.size)
        assert (up - down) / (2 * step) == pytest.approx(due.gradient[index], abs=tolerance)
        if where is not None and not where[index[: where.ndim]]:
            assert due.gradient[index] == 0.0


def test_masking_is_slicing_away() -> None:
    """A sample that the mask leaves out might as well not be there."""
    x = np.random.default_rng(2).standard_normal((5, 3, 4))
    where = np.array([True, False, True, True, False])
    axes = ("sample", "p0", "feature")
    for penalty in CONFIGS:
        if not fits(penalty, Target("any", axes, x.shape, masked=1)):
            continue
        masked, sliced = penalty.oracle(x, axes, where), penalty.oracle(x[where], axes)
        assert masked.value == pytest.approx(sliced.value, rel=1e-15)
        np.testing.assert_allclose(masked.gradient[where], sliced.gradient, rtol=1e-13)
        assert not masked.gradient[~where].any()


def test_every_configuration_has_an_oracle_and_a_family() -> None:
    """The table names no penalty without an oracle, and no oracle is left out of the table; families go by file."""
    assert {penalty.name for penalty in CONFIGS} == set(ORACLES)
    for family in FAMILIES:
        oracles = import_module(f"parity_tests.oracles.{family}").ORACLES
        assert {name for name in ORACLES if family_of(name) == family} == set(oracles)
