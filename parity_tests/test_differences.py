"""Penalties of differences: worked out by hand, what a mask leaves of them, what ``per`` counts, recurrent models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parity_tests import lstm
from parity_tests.backends import FAST, PACKAGES, Problem, Result, package, require, value_and_grad
from parity_tests.bounds import THROUGH_A_MODEL
from parity_tests.configs import Config, config
from parity_tests.models.agreement import WORLDS, assert_agrees, outcome
from parity_tests.models.networks import CNN, MLP
from parity_tests.models.regularizers import PER
from parity_tests.models.terms import TermSpec, divisor, spec
from parity_tests.oracles import Axes

EVERY_MODE = pytest.mark.parametrize("mode", FAST)
SEQUENCE, IMAGE = ("sample", "p0", "feature"), ("sample", "p0", "p1", "feature")
TEMPORAL, VARIATION = config("TemporalL2", strength=1.0), config("TotalVariation", strength=2.0)
STEPS = [[[1.0], [3.0], [0.0]]]
SQUARE = [[[[0.0], [1.0]], [[3.0], [3.0]]]]


def run(mode: str, penalty: Config, x: Any, axes: Axes, where: Any = None) -> Result:
    """Value and gradient in float64."""
    mask = None if where is None else np.array(where, dtype=bool)
    return value_and_grad(mode, penalty.build, Problem(np.array(x, dtype=float), "float64", axes, mask))


@EVERY_MODE
@pytest.mark.parametrize(
    ("penalty", "x", "axes", "where", "value", "gradient"),
    [
        (TEMPORAL, STEPS, SEQUENCE, None, 4 + 9, [[[-4], [10], [-6]]]),
        (TEMPORAL, STEPS, SEQUENCE, [[1, 1, 0]], 4, [[[-4], [4], [0]]]),
        (TEMPORAL, STEPS, SEQUENCE, [[1, 0, 1]], 0, [[[0], [0], [0]]]),
        (TEMPORAL, [[[1], [math.nan], [3], [5]]], SEQUENCE, [[1, 0, 1, 1]], 4, [[[0], [0], [-4], [4]]]),
        (TEMPORAL, STEPS, SEQUENCE, [1], 13, [[[-4], [10], [-6]]]),
        (TEMPORAL, SQUARE, IMAGE, None, 9 + 4, [[[[-6], [-4]], [[6], [4]]]]),
        (TEMPORAL, SQUARE, ("sample", "p1", "p0", "feature"), None, 1, [[[[-2], [2]], [[0], [0]]]]),
        (TEMPORAL, [[[7, 8]], [[1, 2]]], SEQUENCE, None, 0, [[[0, 0]], [[0, 0]]]),
        (TEMPORAL, [[[7, 8]], [[1, 2]]], SEQUENCE, [1, 0], 0, [[[0, 0]], [[0, 0]]]),
        (VARIATION, STEPS, SEQUENCE, None, 2 * 5, [[[-2], [4], [-2]]]),
        (VARIATION, [[[2], [2], [2]]], SEQUENCE, None, 0, [[[0], [0], [0]]]),
        (VARIATION, SQUARE, IMAGE, None, 2 * (3 + 2 + 1), [[[[-4], [0]], [[2], [2]]]]),
        (VARIATION, SQUARE, IMAGE, [[[1, 1], [1, 0]]], 2 * (3 + 1), [[[[-4], [2]], [[2], [0]]]]),
        (VARIATION, SQUARE, IMAGE, [[1, 0]], 2 * 1, [[[[-2], [2]], [[0], [0]]]]),
        (VARIATION, [0.0, 5.0, math.inf], ("p0",), [1, 1, 0], 10, [-2, 2, 0]),
    ],
    ids=str,
)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: Any, axes: Axes, where: Any, value: float, gradient: Any, mode: str
) -> None:
    """The formulas, on numbers small enough for paper: a difference counts when both its ends do; one step costs 0."""
    got = run(mode, penalty, x, axes, where)
    assert got.value.array == value
    np.testing.assert_array_equal(got.gradient.array, gradient)


@EVERY_MODE
@pytest.mark.parametrize("penalty", [TEMPORAL, VARIATION], ids=str)
def test_a_difference_of_numbers_far_from_zero_is_exact(penalty: Config, mode: str) -> None:
    """In float32 2^23 + 1 and 2^23 + 2 are 1 apart: differences come before squares."""
    x = 2.0**23 + np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1)
    result = value_and_grad(mode, penalty.build, Problem(x, "float32", SEQUENCE))
    assert result.value.array == {"TemporalL2": 5, "TotalVariation": 6}[penalty.name]


@pytest.mark.parametrize("framework", PACKAGES)
def test_what_is_summed_over_are_the_differences(framework: str) -> None:
    """``summands`` names one array of differences for each axis, without a mask and with one."""
    m = package(framework)
    assert m.TemporalL2(1.0).summands((4, 3, 2, 5), IMAGE, None) == [((4, 2, 2, 5), None)]
    assert m.TotalVariation(1.0).summands((4, 3, 2, 5), IMAGE, None) == [((4, 2, 2, 5), None), ((4, 3, 1, 5), None)]
    assert m.TotalVariation(1.0).summands((4, 0, 5), SEQUENCE, None) == [((4, 0, 5), None)]
    assert m.TemporalL2(1.0).additive(SEQUENCE)
    assert m.TotalVariation(1.0).additive(IMAGE)


SLOW, SMOOTH = config("TemporalL2", strength=0.1), config("TotalVariation", strength=0.1)
PLACES: list[tuple[str, dict[str, Any]]] = [
    ("conv1", {"mask": "places"}),
    ("act2", {"mask": "rows", "laid_out": True}),
]
# A normalisation takes biases away again: without a penalty of their own their gradient is 0 but for rounding.
TERMS: tuple[TermSpec, ...] = (
    spec("biases", config("L2", strength=10.0), "params", "conv?.*", "conv1.bias", "conv2.bias", role="bias"),
    *(spec(f"{p.name} unmasked", p, "activations", "conv2", "conv2") for p in (SLOW, SMOOTH)),
    *(
        spec(f"{p.name} {name} {per}", p, "activations", name, name, per=per, **options)
        for p in (SLOW, SMOOTH)
        for per in PER
        for name, options in PLACES
    ),
)


@pytest.mark.parametrize("world", WORLDS)
def test_images_give_the_same_numbers_in_every_world(world: str) -> None:
    """Channel-first and channel-last, every ``per``, masks of samples and of places, counted by loops."""
    assert_agrees(world, CNN, TERMS)


TOKENS = np.random.default_rng(3).integers(lstm.TOKENS, size=(4, 6))
PAD = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=bool)
CELLS = [(penalty, per, mask) for penalty in (SLOW, SMOOTH) for per in PER for mask in (None, "pad")]


def hidden(w: dict[str, np.ndarray]) -> np.ndarray:
    """The outputs of the LSTM, step by step."""
    rows = np.zeros((len(TOKENS), 0, lstm.HIDDEN))
    h = c = np.zeros((len(TOKENS), lstm.HIDDEN))
    for step in TOKENS.T:
        x = w["embed"].T[step]
        i, f, g, o = (x @ w[f"i{gate}"].T + h @ w[f"h{gate}"].T + w[f"b{gate}"] for gate in lstm.GATES)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        rows = np.concatenate([rows, h[:, None]], axis=1)
    return rows


def terms(m: Any, **layout: Any) -> Any:
    """One term for each cell, named by its place."""
    return m.Regularizer(
        *(
            penalty.build(m).on(m.activations("rnn", per=per, mask=mask, **layout), name=str(i))
            for i, (penalty, per, mask) in enumerate(CELLS)
        )
    )


def recurrent(world: str, w: dict[str, np.ndarray]) -> dict[str, float]:
    """The terms on the outputs of the LSTM; PyTorch knows by itself whether it is time-first."""
    if world.startswith("torch"):
        m = package("torch")
        import torch

        model = lstm.torch_model(w)
        model.rnn.batch_first = world == "torch batch-first"
        tokens = torch.from_numpy(TOKENS if model.rnn.batch_first else TOKENS.T.copy())
        penalties = terms(m).at(masks={"pad": torch.from_numpy(PAD)}).apply(model, tokens)[1]
    else:
        m = package("jax")
        import jax
        import jax.numpy as jnp

        reg = terms(m, layout=("sample", ..., "feature")).at(masks={"pad": jnp.asarray(PAD)})
        given = jnp.asarray(TOKENS)
        if world == "linen":
            params = jax.tree.map(jnp.asarray, lstm.linen_params(w))
            penalties = reg.apply(lstm.linen_model(), {"params": params}, given)[1]
        else:
            penalties = reg.apply(lstm.nnx_model(w), given)[1]
    return {name: float(value.item()) for name, value in penalties.terms.items()}


@pytest.mark.parametrize("world", ["torch batch-first", "torch time-first", "linen", "nnx"])
def test_recurrent_outputs_give_the_same_numbers_in_every_world(world: str, request: pytest.FixtureRequest) -> None:
    """Time-first or batch-first, every ``per``, with gaps in the mask, counted by loops."""
    require("torch" if world.startswith("torch") else "jax")
    if not world.startswith("torch"):
        request.getfixturevalue("float64_jax")
    w = lstm.weights(np.random.default_rng(5))
    got, x = recurrent(world, w), hidden(w)
    for i, (penalty, per, mask) in enumerate(CELLS):
        where = PAD if mask else None
        due = penalty.oracle(x, SEQUENCE, where).value / divisor(penalty, per, x.shape, where)
        assert due > 0
        assert got[str(i)] == pytest.approx(due, rel=THROUGH_A_MODEL, abs=0), (penalty, per, mask)


ABSENT = "{}: axes must be among the axes that the array has, and 'p0' is not; got {!r}."
UNKNOWN = (
    "{}: layout must be stated, because 'p0' is among axes that nobody has named; got ('sample', '?', '?'). "
    "State the axes with layout=, as in layout=('sample', 'feature', '...') or layout=('out', 'in')."
)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("penalty", [SLOW, SMOOTH], ids=str)
def test_an_array_without_positions_is_an_error(penalty: Config, world: str) -> None:
    """Of features and of a kernel: the same whole sentence in every world."""
    wrong = [
        (spec("wrong", penalty, "activations", "first", "first"), ("sample", "feature")),
        (spec("wrong", penalty, "params", "first.*", "first.kernel", role="kernel"), ("out", "in")),
    ]
    for term, axes in wrong:
        with pytest.raises(ValueError, match=r"\.$") as caught:
            outcome(world, MLP, (term,))
        assert str(caught.value) == ABSENT.format(penalty.name, axes)


@EVERY_MODE
@pytest.mark.parametrize("penalty", [SLOW, SMOOTH], ids=str)
def test_axes_that_nobody_has_named_are_asked_for(penalty: Config, mode: str) -> None:
    """Which of them are positions is not guessed."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        run(mode, penalty, np.zeros((2, 3, 4)), ("sample", "?", "?"))
    assert str(caught.value) == UNKNOWN.format(penalty.name)
