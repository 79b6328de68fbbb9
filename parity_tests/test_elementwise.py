"""What is special to the sums over elements: examples, the formulas in many digits, infinities, errors, models."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import FAST, PACKAGES, PLAIN, Problem, package, value_and_grad
from parity_tests.bounds import THROUGH_A_MODEL, bound
from parity_tests.comparer import errors
from parity_tests.configs import Config, config
from parity_tests.models.networks import CNN, batch, masks, weights
from parity_tests.models.reference import run as reference
from parity_tests.models.terms import TermSpec, spec
from parity_tests.models.worlds import run as run_world
from parity_tests.precision import round_to

ROOT2, ROOT3 = math.sqrt(2), math.sqrt(3)
VECTOR = ("out",)


def one(name: str, **arguments: float) -> Config:
    """A penalty of strength 1."""
    return config(name, strength=1.0, **arguments)


@pytest.mark.parametrize("mode", FAST)
@pytest.mark.parametrize(
    ("penalty", "x", "value", "gradient"),
    [
        (one("PseudoHuber", delta=2.0), [0, 2, -2 * ROOT3], 4 * (ROOT2 - 1) + 4, [0, ROOT2, -ROOT3]),
        (config("PseudoHuber", strength=3.0), [1.0], 3 * (ROOT2 - 1), [1.5 * ROOT2]),
        (one("Saturation", limit=2.0), [2, -2, 0, 3, -5], 1 + 9, [0, 0, 0, 2, -6]),
        (config("Saturation", strength=2.0, limit=0.0), [3, -4, 0], 50, [12, -16, 0]),
        (one("Lp", p=1.0), [3, -4, 0], 7, [1, -1, 0]),
        (one("Lp", p=2.0, eps=9.0), [3, -4, 0], 25, [6, -8, 0]),
        (one("Lp", p=2.0), [3, -4, 0], 25, [6, -8, 0]),
        (one("Lp", p=3.0, eps=1e200), [0], 0, [0]),
        (one("Lp", p=3.0), [2, -1, 0], 9, [12, -3, 0]),
        (one("Lp", p=1.0, eps=9.0), [4, 0], 2, [0.8, 0]),
        (one("Lp", p=0.5, eps=9.0), [0, math.sqrt(72)], 3 - ROOT3, [0, 0.5 * math.sqrt(72) / 27]),
        (one("Lp", p=4.0, eps=1.0), [1, -2], 3 + 24, [8, -40]),
        (one("LogSum", eps=2.0), [2, -6, 0], 3 * math.log(2), [1 / 4, -1 / 8, 0]),
        (config("LogSum", strength=2.0), [-0.1, 0], 2 * math.log(2), [-10, 0]),
        (one("StudentT", scale=2.0), [2, -2 * ROOT3, 0], 3 * math.log(2), [1 / 2, -ROOT3 / 4, 0]),
        (config("StudentT", strength=2.0), [-1.0], 2 * math.log(2), [-2]),
        (one("TransformedL1", a=3.0), [3, -1, 0], 2 + 1, [1 / 3, -3 / 4, 0]),
        (config("TransformedL1", strength=2.0), [-1.0, 3.0], 2 + 3, [-1, 1 / 4]),
        (one("TanhL1", scale=2.0), [math.log(3) / 2, 0, -math.log(2) / 2], 0.8 + 0.6, [0.72, 0, -1.28]),
        (config("TanhL1", strength=2.0), [-math.log(3)], 1.6, [-0.72]),
    ],
    ids=str,
)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: list[float], value: float, gradient: list[float], mode: str
) -> None:
    """The formula and its defaults, on numbers small enough for paper, by the oracle and by both packages."""
    at = np.array(x, dtype=float)
    due, result = penalty.oracle(at, VECTOR), value_and_grad(mode, penalty.build, Problem(at, "float64", VECTOR))
    for value_found, gradient_found in ((due.value, due.gradient), (result.value.array, result.gradient.array)):
        assert value_found == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(gradient_found, gradient, rtol=1e-14)


Formula = Callable[..., Decimal]
FORMULAS: dict[str, Formula] = {
    "PseudoHuber": lambda x, delta: delta**2 * ((1 + (x / delta) ** 2).sqrt() - 1),
    "Saturation": lambda x, limit: max(abs(x) - limit, Decimal(0)) ** 2,
    "Lp": lambda x, p, eps: (x**2 + eps) ** (p / 2) - (eps ** (p / 2) if eps else 0),
    "LogSum": lambda x, eps: (1 + abs(x) / eps).ln(),
    "StudentT": lambda x, scale: (1 + (x / scale) ** 2).ln(),
    "TransformedL1": lambda x, a: (a + 1) * abs(x) / (a + abs(x)),
    "TanhL1": lambda x, scale: 1 - 2 / (1 + (2 * scale * abs(x)).exp()),
}
EXTREMES = [
    *(one("PseudoHuber", delta=delta) for delta in (1e-6, 0.3, 1e6)),
    *(one("Saturation", limit=limit) for limit in (0.3, 1e6)),
    *(one("Lp", p=p, eps=eps) for p, eps in ((0.01, 1e-6), (0.5, 1e-12), (1.0, 1e-8), (1.5, 0.01), (2.5, 0.0))),
    *(one("Lp", p=p, eps=eps) for p, eps in ((3.0, 1e-4), (4.0, 0.01), (0.01, 1e36))),
    *(one("LogSum", eps=eps) for eps in (1e-12, 0.03, 1e6)),
    *(one("StudentT", scale=scale) for scale in (1e-12, 0.6, 1e18)),
    *(one("TransformedL1", a=a) for a in (1e-3, 0.7, 1e6)),
    *(one("TanhL1", scale=scale) for scale in (1e-3, 0.2)),
]
SIZES = [1e-30, 1e-12, 1e-6, 0.02, 0.29, 0.31, 1.0, 3.0, 40.0, 1e3, 1e8, 1e12, 3e16, 1e20, 3e28, 1e36]


def in_digits(penalty: Config, x: float) -> tuple[float, float]:
    """Value and slope by the formula as it stands, in 400 digits, the slope by a central difference."""
    given = {key: Decimal(value) for key, value in penalty.arguments if key != "strength"}
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = 400, 10**17, -(10**17)
        context.traps = dict.fromkeys(context.traps, False)
        here, step = Decimal(x), Decimal(x) * Decimal("1e-40")
        up, down = (FORMULAS[penalty.name](here + sign * step, **given) for sign in (1, -1))
        return float(FORMULAS[penalty.name](here, **given)), float((up - down) / (2 * step))


@pytest.mark.parametrize("penalty", EXTREMES, ids=str)
def test_oracles_are_the_formula_in_many_digits(penalty: Config) -> None:
    """What an oracle rearranges to stay in range or to avoid a difference is still the formula."""
    for size in SIZES:
        x = float(round_to(size, "float32"))
        value, slope = in_digits(penalty, x)
        due = penalty.oracle(np.array([-x]), VECTOR)
        assert due.value == pytest.approx(value, rel=5e-14, abs=1e-300), size
        assert due.gradient[0] == pytest.approx(-slope, rel=5e-14, abs=1e-300), size


@pytest.mark.parametrize("mode", FAST)
@pytest.mark.parametrize("penalty", EXTREMES, ids=str)
def test_every_magnitude_is_right_in_float32(penalty: Config, mode: str) -> None:
    """Value and gradient are within their bounds where a square, a quotient or a power would leave the range.

    Where the value itself is beyond the range the gradient need not be a number either.
    """
    for size in SIZES:
        x = round_to(np.array([-size]), "float32")
        due, result = penalty.oracle(x, VECTOR), value_and_grad(mode, penalty.build, Problem(x, "float32", VECTOR))
        for quantity in ("value", "gradient"):
            got, want = np.asarray(getattr(result, quantity).array), np.asarray(getattr(due, quantity))
            limit = bound(penalty.name, quantity, "float32", due).allowed
            beyond = bool(np.isinf(round_to(due.value, "float32")))
            off = errors(f"{quantity} at {size}", got, want, "float32", may_overflow=beyond)
            assert np.all(off <= limit), (quantity, size, got, want)


@pytest.mark.parametrize("mode", PLAIN)
@pytest.mark.parametrize(
    ("penalty", "limit"), [(one("TransformedL1", a=3.0), 4.0), (one("TanhL1", scale=2.0), 1.0)], ids=str
)
def test_an_infinite_element_costs_the_bound(penalty: Config, limit: float, mode: str) -> None:
    """Where the penalty is bounded an infinity costs the bound and has the gradient 0: it is far, and nothing more."""
    for dtype in ("float32", "bfloat16"):
        result = value_and_grad(mode, penalty.build, Problem(np.array([math.inf, 0.0, -math.inf]), dtype, VECTOR))
        assert result.value.array == 2 * limit
        np.testing.assert_array_equal(result.gradient.array, [0, 0, 0])


POSITIVE = {"PseudoHuber": "delta", "Lp": "p", "LogSum": "eps", "StudentT": "scale", "TransformedL1": "a"}
POSITIVE["TanhL1"] = "scale"
NEEDED: dict[str, dict[str, float]] = {"Lp": {"p": 3.0}, "Saturation": {"limit": 1.0}}
BAD: tuple[Any, ...] = (-1.0, math.nan, math.inf, "1", None, True)
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, {"strength": value}, f"{name}: strength must be a finite number >= 0; got {value!r}.")
        for name in FORMULAS
        for value in BAD
    ),
    *(
        (name, {argument: value}, f"{name}: {argument} must be a finite number > 0; got {value!r}.")
        for name, argument in POSITIVE.items()
        for value in (0, *BAD)
    ),
    *(
        (name, {argument: value}, f"{name}: {argument} must be a finite number >= 0; got {value!r}.")
        for name, argument in (("Saturation", "limit"), ("Lp", "eps"))
        for value in BAD
    ),
    ("Lp", {"p": 0.5}, "Lp with p = 0.5: eps must be a finite number > 0; got 0.0."),
    ("Lp", {"p": 1.5, "eps": 0}, "Lp with p = 1.5: eps must be a finite number > 0; got 0.0."),
    ("Lp", {"p": 4, "eps": 1e300}, "Lp: eps must be such that eps ** (p / 2) is finite; got 1e+300."),
    ("Lp", {"p": 3.2, "eps": 1e200}, "Lp: eps must be such that eps ** (p / 2) is finite; got 1e+200."),
]


@pytest.mark.parametrize("framework", PACKAGES)
@pytest.mark.parametrize(("name", "given", "sentence"), REFUSED, ids=lambda item: str(item)[:50])
def test_a_bad_argument_is_refused_at_construction(
    framework: str, name: str, given: dict[str, Any], sentence: str
) -> None:
    """TypeError for a wrong kind, ValueError for a wrong value, the same whole sentence in both packages."""
    kind = TypeError if any(isinstance(value, str | bool | None) for value in given.values()) else ValueError
    with pytest.raises(kind) as caught:
        getattr(package(framework), name)(**({"strength": 0.1} | NEEDED.get(name, {}) | given))
    assert str(caught.value) == sentence


HUBER, LOGS, HEAVY = one("PseudoHuber", delta=0.3), one("LogSum"), one("StudentT", scale=0.5)
CONVOLUTIONS = ("conv1.kernel", "conv2.kernel")
TERMS: tuple[TermSpec, ...] = (
    spec("kernels", one("Lp", p=0.5, eps=0.001), "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec(
        "biases", one("TanhL1"), "params", "**", "conv1.bias", "conv2.bias", "head.bias", role="bias", exclude="norm*.*"
    ),
    spec("scales", HUBER, "params", "**", "norm1.scale", "norm2.scale", role="scale"),
    spec("joint", LOGS, "params", "**", *CONVOLUTIONS, "head.kernel", role="kernel", joint=True),
    spec("saturated", one("Saturation", limit=0.5), "activations", "norm1", "norm1"),
    spec("units", one("TransformedL1"), "activations", "act2", "act2", per="position", mask="rows", laid_out=True),
    *(
        spec(f"heavy per {per}", HEAVY, "activations", "conv1", "conv1", per=per, mask="places")
        for per in ("batch", "element")
    ),
    spec("logs per example", LOGS, "activations", "conv2", "conv2", per="example", mask="places"),
    spec("scores", HUBER, "activations", "head", "head", per="element"),
)


@pytest.mark.parametrize("world", ["torch", "linen-jit", "nnx-jit"])
def test_through_a_model_terms_and_gradients_are_those_of_the_oracle(world: str) -> None:
    """On kernels, biases, scales and channel-first or -last maps, under every ``per`` and a mask, in float64."""
    given = (CNN, weights(CNN), *batch(CNN), TERMS, masks(CNN))
    got, due = run_world(world, *given), reference(*given)
    assert got.terms == pytest.approx(due.terms, rel=THROUGH_A_MODEL, abs=0)
    assert got.gradients.keys() == due.gradients.keys()
    for name, gradient in due.gradients.items():
        off = np.linalg.norm(np.ravel(got.gradients[name] - gradient))
        assert off <= THROUGH_A_MODEL * np.linalg.norm(np.ravel(gradient)), name
