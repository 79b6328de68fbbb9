"""Penalties of logits: worked out by hand, impossible classes, ties, the routers' formulas, errors, models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import FAST, PACKAGES, Problem, Result, package, value_and_grad
from parity_tests.configs import Config, config
from parity_tests.models.agreement import WORLDS, assert_agrees, outcome
from parity_tests.models.networks import CNN, MLP
from parity_tests.models.regularizers import PER
from parity_tests.models.terms import TermSpec, spec
from parity_tests.oracles import Axes

EVERY_MODE = pytest.mark.parametrize("mode", FAST)
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
BATCH, SEQUENCE = ("sample", "feature"), ("sample", "p0", "feature")
NAMES = ("NegativeEntropy", "RouterZ", "LoadBalance")
ENTROPY, ROUTER = config("NegativeEntropy", strength=1.0), config("RouterZ", strength=1.0)
BALANCE, TWO = config("LoadBalance", strength=1.0), config("LoadBalance", strength=1.0, top_k=2)


def run(mode: str, penalty: Config, x: Any, axes: Axes = BATCH, where: Any = None, dtype: str = "float64") -> Result:
    """Value and gradient."""
    mask = None if where is None else np.array(where, dtype=bool)
    return value_and_grad(mode, penalty.build, Problem(np.array(x, dtype=float), dtype, axes, mask))


LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)
NO = -math.inf
CERTAIN = 0.75 * LOG3 - LOG4  # Σ p log p of the probabilities 1/4 and 3/4
TILT = 0.1875 * LOG3  # p (log p − Σ p log p) of the second, minus that of the first
ROUTED = [[LOG3, 0], [0, LOG3], [LOG3, 0], [LOG3, 0]]
PULL = 0.046875


@EVERY_MODE
@pytest.mark.parametrize(
    ("penalty", "x", "where", "value", "gradient"),
    [
        (ENTROPY, [[0, LOG3]], None, CERTAIN, [[-TILT, TILT]]),
        (ENTROPY, [[0, LOG3, NO]], None, CERTAIN, [[-TILT, TILT, 0]]),
        (ENTROPY, [[5, 5, NO, 5, 5]], None, -LOG4, [[0, 0, 0, 0, 0]]),
        (ENTROPY, [[NO, -7]], None, 0, [[0, 0]]),
        (ENTROPY, [[0, LOG3], [math.nan, NO]], [1, 0], CERTAIN, [[-TILT, TILT], [0, 0]]),
        (ROUTER, [[0, LOG3]], None, LOG4**2, [[LOG4 / 2, 1.5 * LOG4]]),
        (ROUTER, [[-LOG4, NO, -LOG4]], None, LOG2**2, [[-LOG2, 0, -LOG2]]),
        (ROUTER, [[0, LOG3], [math.inf, math.nan]], [1, 0], LOG4**2, [[LOG4 / 2, 1.5 * LOG4], [0, 0]]),
        (BALANCE, ROUTED, None, 1.125, [[PULL, -PULL], [PULL, -PULL], [PULL, -PULL], [PULL, -PULL]]),
        (BALANCE, [[0, LOG3], *ROUTED], [0, 1, 1, 1, 1], 1.125, [[0, 0], *[[PULL, -PULL]] * 4]),
        (TWO, ROUTED, None, 2, np.zeros((4, 2))),
        (BALANCE, [[0, -0.0, 0]], None, 1, [[2 / 3, -1 / 3, -1 / 3]]),
        (BALANCE, [[-0.0, 0, -0.0]], None, 1, [[2 / 3, -1 / 3, -1 / 3]]),
        (BALANCE, [[NO, 0, 0, NO]], None, 2, [[0, 1, -1, 0]]),
        (TWO, [[0, 0, 0, 0]], None, 2, [[0.5, 0.5, -0.5, -0.5]]),
        (BALANCE, [[0, LOG3], [math.nan, NO]], [0, 0], 0, [[0, 0], [0, 0]]),
    ],
    ids=str,
)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: Any, where: Any, value: float, gradient: Any, mode: str
) -> None:
    """The formulas; a logit of -inf gives 0 to value and gradient; ties, of both zeros too, go to the lowest index."""
    got = run(mode, penalty, x, where=where)
    assert got.value.array == pytest.approx(value, rel=1e-14, abs=0)
    np.testing.assert_allclose(got.gradient.array, gradient, rtol=1e-13, atol=1e-16)


@EVERY_MODE
@pytest.mark.parametrize("penalty", [ENTROPY, BALANCE], ids=str)
@pytest.mark.parametrize("x", [[NO, NO], [math.inf, 0], [math.nan, 0]])
def test_a_vector_without_a_distribution_is_nan(penalty: Config, x: list[float], mode: str) -> None:
    """All impossible, one infinitely likely, or one unknown: the value is NaN and hides nothing."""
    assert np.isnan(run(mode, penalty, [x, [1, 2]]).value.array)


@EVERY_MODE
@pytest.mark.parametrize(("x", "value"), [([NO, NO], math.inf), ([math.inf, 0], math.inf), ([math.nan, 0], math.nan)])
def test_a_router_without_a_partition_is_not_finite(x: list[float], value: float, mode: str) -> None:
    """The logarithm of nothing or of everything is infinite, and so is its square."""
    np.testing.assert_array_equal(run(mode, ROUTER, [x, [1, 2]]).value.array, value)


@EVERY_MODE
def test_logits_beyond_the_range_of_exp_are_right(mode: str) -> None:
    """In float32 neither exp(±1e30) nor a difference beyond the range matters."""
    x = [[1e30, -1e30], [-1e30, -1e30], [3e38, -3e38]]
    got = run(mode, ENTROPY, x, dtype="float32")
    assert got.value.array == pytest.approx(-LOG2, rel=1e-6)
    assert not got.gradient.array.any()
    got = run(mode, ROUTER, [[1e15, 0.0], [-1e15, -1e30]], dtype="float32")
    assert got.value.array == pytest.approx(2e30, rel=1e-6)
    np.testing.assert_allclose(got.gradient.array, [[2e15, 0], [-2e15, 0]], rtol=1e-6)


def switch(x: np.ndarray, where: np.ndarray, top_k: int) -> float:
    """The auxiliary loss of routers as their codes compute it: a one-hot for each choice, means over tokens, a sum."""
    tokens = [row for row, counts in zip(x.reshape(-1, x.shape[-1]), where.ravel(), strict=True) if counts]
    experts = x.shape[-1]
    per_choice = np.zeros((top_k, experts))
    probability = np.zeros(experts)
    for row in tokens:
        for choice, expert in enumerate(np.argsort(-row)[:top_k]):
            per_choice[choice, expert] += 1 / len(tokens)
        weights = np.exp(row - row.max())
        probability += weights / weights.sum() / len(tokens)
    return experts * float((per_choice * probability).sum())


@EVERY_MODE
@pytest.mark.parametrize("top_k", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_auxiliary_loss_of_routers(masked: bool, top_k: int, mode: str) -> None:
    """For any number of choices, over all tokens of a batch, those of a padding left out."""
    x = 2 * np.random.default_rng(1).standard_normal((3, 5, 4))
    where = np.random.default_rng(2).random((3, 5)) < 0.6 if masked else np.ones((3, 5), dtype=bool)
    got = run(mode, config("LoadBalance", strength=0.01, top_k=top_k), x, SEQUENCE, where if masked else None)
    assert got.value.array == pytest.approx(0.01 * switch(x, where, top_k), rel=1e-13)


@EVERY_MODE
def test_no_gradient_flows_through_the_load(mode: str) -> None:
    """The gradient is that of the mean probabilities alone, by differences that keep the choices."""
    x = np.random.default_rng(3).standard_normal((6, 4))
    slope = run(mode, TWO, x).gradient.array
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = 1e-6
        up, down = (switch(x + sign * step, np.ones(6), 2) for sign in (1, -1))
        assert slope[index] == pytest.approx((up - down) / 2e-6, abs=1e-8)
    np.testing.assert_allclose(slope.sum(axis=1), np.zeros(6), atol=1e-16)


@EVERY_FRAMEWORK
@pytest.mark.parametrize(
    ("value", "kind"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError)]
)
def test_top_k_is_a_count(framework: str, value: Any, kind: type[Exception]) -> None:
    """An integer of at least 1, NumPy's too."""
    m = package(framework)
    with pytest.raises(kind) as caught:
        m.LoadBalance(1.0, top_k=value)
    assert str(caught.value) == f"LoadBalance: top_k must be an integer >= 1; got {value!r}."
    assert m.LoadBalance(1.0, np.int64(2)) == m.LoadBalance(1.0, top_k=2)


@EVERY_MODE
def test_more_choices_than_experts_are_refused(mode: str) -> None:
    """As soon as the shape is known."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        run(mode, TWO, [[1.0], [2.0]])
    assert str(caught.value) == "LoadBalance: top_k must be at most the number of experts, 1; got 2."


@EVERY_MODE
@pytest.mark.parametrize("name", NAMES)
def test_a_mask_over_features_is_refused(name: str, mode: str) -> None:
    """A mask leaves out whole vectors; an impossible class is a logit of minus infinity."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        run(mode, config(name, strength=1.0), np.zeros((2, 3)), where=np.ones((2, 3)))
    said = f"{name}: where must be a mask over samples and positions, not over features; got (2, 3)."
    assert str(caught.value) == said


@EVERY_FRAMEWORK
def test_vectors_add_up_and_loads_do_not(framework: str) -> None:
    """So ``per`` applies to the first two; without axis names an array is an activation."""
    m = package(framework)
    assert [getattr(m, name)(1.0).additive(SEQUENCE) for name in NAMES] == [True, True, False]
    assert {getattr(m, name)(1.0).default_axes(3) for name in NAMES} == {SEQUENCE}


PENALTIES = (config("NegativeEntropy", strength=0.1), config("RouterZ", strength=0.1))
LOADS = (config("LoadBalance", strength=0.1), config("LoadBalance", strength=0.1, top_k=2))
# A normalisation takes biases away again: without a penalty of their own their gradient is 0 but for rounding.
TERMS: tuple[TermSpec, ...] = (
    spec("biases", config("L2", strength=10.0), "params", "conv?.*", "conv1.bias", "conv2.bias", role="bias"),
    *(
        spec(f"{p.name} {at} {per}", p, "activations", at, at, per=per, **more)
        for p in PENALTIES
        for per in PER
        for at, more in (("conv1", {"mask": "places"}), ("act2", {"mask": "rows", "laid_out": True}))
    ),
    *(spec(f"{p} {at}", p, "activations", at, at) for p in (*PENALTIES, *LOADS) for at in ("conv2", "head")),
    *(spec(f"{p} masked", p, "activations", "conv1", "conv1", mask="places") for p in LOADS),
)


@pytest.mark.parametrize("world", WORLDS)
def test_a_model_gives_the_same_numbers_in_every_world(world: str) -> None:
    """Channel-first and channel-last, every ``per``, with and without masks."""
    assert_agrees(world, CNN, TERMS)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("penalty", [*PENALTIES, LOADS[0]], ids=str)
def test_where_it_means_nothing_it_is_an_error(penalty: Config, world: str) -> None:
    """On a kernel, and a load with ``per``: the same whole sentence in every world."""
    name = penalty.name
    missing = f"{name}: axes must be among the axes that the array has, and 'feature' is not; got ('out', 'in')."
    refused = f"activations: per must be None, because {name} is not additive; got 'position'."
    wrong = [(spec("w", penalty, "params", "first.*", "first.kernel", role="kernel"), missing)]
    if penalty in LOADS:
        wrong.append((spec("w", penalty, "activations", "first", "first", per="position"), refused))
    for term, sentence in wrong:
        with pytest.raises(ValueError, match=r"\.$") as caught:
            outcome(world, MLP, (term,))
        assert str(caught.value) == sentence
