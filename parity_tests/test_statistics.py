"""Penalties of statistics: worked out by hand, far from zero, one sample, out of range, masks, errors, models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import FAST, PACKAGES, Problem, Result, package, value_and_grad
from parity_tests.configs import Config, config
from parity_tests.models.agreement import WORLDS, assert_agrees, outcome
from parity_tests.models.networks import CNN, MLP
from parity_tests.models.terms import TermSpec, spec
from parity_tests.oracles import Axes

EVERY_MODE = pytest.mark.parametrize("mode", FAST)
EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
BATCH, SEQUENCE = ("sample", "feature"), ("sample", "p0", "feature")
PAIR = [[1, 2], [3, 6]]
OWN = {"VarianceHinge": {"target": 2.0, "eps": 0.25}, "KLSparsity": {"rho": 0.5, "eps": 0.25}}
NAMES = ("Decorrelation", "Covariance", "VarianceHinge", "KLSparsity", "MeanActivation")
SPREAD = ("Decorrelation", "Covariance", "VarianceHinge")


def one(name: str, **arguments: float) -> Config:
    """A penalty of strength 1."""
    return config(name, strength=1.0, **arguments)


def run(mode: str, penalty: Config, x: Any, axes: Axes = BATCH, where: Any = None, dtype: str = "float64") -> Result:
    """Value and gradient."""
    mask = None if where is None else np.array(where, dtype=bool)
    return value_and_grad(mode, penalty.build, Problem(np.array(x, dtype=float), dtype, axes, mask))


HINGE, RATE = one("VarianceHinge", **OWN["VarianceHinge"]), one("KLSparsity", **OWN["KLSparsity"])
AT_HINGE = one("VarianceHinge", target=1.5, eps=0.25)
HALF_LOG = math.log(4 / 3) / 2


@EVERY_MODE
@pytest.mark.parametrize(
    ("penalty", "x", "where", "value", "gradient"),
    [
        (one("Decorrelation"), PAIR, None, 4, [[-4, -2], [4, 2]]),
        (one("Decorrelation"), [*PAIR, [math.nan, 9]], [1, 1, 0], 4, [[-4, -2], [4, 2], [0, 0]]),
        (one("Decorrelation"), [[1], [5]], None, 0, [[0], [0]]),
        (one("Covariance"), PAIR, None, 16, [[-16, -8], [16, 8]]),
        (one("Covariance"), [*PAIR, [math.inf, 9]], [1, 1, 0], 16, [[-16, -8], [16, 8], [0, 0]]),
        (HINGE, [[-1, 5], [1, 5]], None, (0.5 + 1.5) / 2, [[1 / 3, 0], [-1 / 3, 0]]),
        (HINGE, [[-4, 0], [4, 0]], None, 1.5 / 2, [[0, 0], [0, 0]]),
        (AT_HINGE, [[-1, 5], [1, 5]], None, 1 / 2, [[0, 0], [0, 0]]),
        (RATE, [[0.25], [0.5]], [1, 0], HALF_LOG, [[0], [0]]),
        (one("KLSparsity", rho=0.5), [[0.125], [0.375]], None, HALF_LOG, [[-2 / 3], [-2 / 3]]),
        (one("KLSparsity", rho=0.5), [[0.5, 0.25]], None, HALF_LOG, [[0, -4 / 3]]),
        (RATE, [[0.25, 0.75]], None, 2 * HALF_LOG, [[0, 0]]),
        (RATE, [[-3, 8]], None, 2 * HALF_LOG, [[0, 0]]),
        (one("MeanActivation", target=1.0), [[1, 2], [3, 2]], None, 2, [[1, 1], [1, 1]]),
        (one("MeanActivation"), [[1, -2], [7, 7]], [1, 0], 5, [[2, -4], [0, 0]]),
        (one("MeanActivation", target=-1.0), [[1, -2], [7, 7]], [0, 0], 0, [[0, 0], [0, 0]]),
    ],
    ids=str,
)
def test_values_and_gradients_worked_out_by_hand(
    penalty: Config, x: Any, where: Any, value: float, gradient: Any, mode: str
) -> None:
    """The formulas and their kinks (the hinge, both ends of the clip), on numbers small enough for paper."""
    got = run(mode, penalty, x, where=where)
    assert got.value.array == pytest.approx(value, rel=1e-15, abs=0)
    np.testing.assert_allclose(got.gradient.array, gradient, rtol=1e-14, atol=0)


@EVERY_MODE
def test_they_are_the_formulas_of_the_papers(mode: str) -> None:
    """DeCov is ½(‖C‖²_F − ‖diag C‖²) with C over N, VICReg's terms are over N − 1, by NumPy's own statistics."""
    x = np.random.default_rng(1).standard_normal((3, 4, 5)) + 2
    rows = x.reshape(-1, 5)
    biased, unbiased = np.cov(rows.T, bias=True), np.cov(rows.T)
    decov = 0.5 * (np.sum(biased**2) - np.sum(np.diag(biased) ** 2))
    beside = np.sum(unbiased**2) - np.sum(np.diag(unbiased) ** 2)
    std = np.sqrt(rows.var(axis=0, ddof=1) + 1e-4)
    due = {"Decorrelation": decov, "Covariance": beside / 5, "VarianceHinge": np.maximum(1 - std, 0).mean()}
    for name, value in due.items():
        assert run(mode, one(name), x, SEQUENCE).value.array == pytest.approx(value, rel=1e-12), name


@EVERY_MODE
@pytest.mark.parametrize("name", SPREAD)
def test_a_single_sample_has_no_statistic(name: str, mode: str) -> None:
    """Value and gradient are 0, whether it is alone or a mask leaves it alone; but a NaN in it is not hidden."""
    x = np.random.default_rng(2).standard_normal((3, 2, 4))
    alone = np.zeros((3, 2), dtype=bool)
    alone[1, 1] = True
    for got in (run(mode, one(name), x[:1, :1], SEQUENCE), run(mode, one(name), x, SEQUENCE, alone)):
        assert got.value.array == 0
        assert not got.gradient.array.any()
    assert np.isnan(run(mode, one(name), [[1.0, math.nan]]).value.array)


@EVERY_MODE
@pytest.mark.parametrize("name", NAMES)
def test_samples_and_positions_are_one(name: str, mode: str) -> None:
    """A batch of sequences under a mask has the statistics of the list of the vectors that count."""
    x = np.random.default_rng(3).uniform(0.1, 0.9, (4, 3, 5))
    where = np.random.default_rng(4).random((4, 3)) < 0.6
    penalty = one(name)
    got, due = run(mode, penalty, x, SEQUENCE, where), run(mode, penalty, x[where])
    assert got.value.array == pytest.approx(due.value.array, rel=1e-12)
    np.testing.assert_allclose(got.gradient.array[where], due.gradient.array, rtol=1e-11, atol=1e-15)
    assert not got.gradient.array[~where].any()


@EVERY_MODE
@pytest.mark.parametrize("penalty", [one("Decorrelation"), one("Covariance"), HINGE], ids=str)
def test_far_from_zero_nothing_cancels(penalty: Config, mode: str) -> None:
    """In float32, at 8192 with deviations of about 1, a difference of mean squares would have no digit right."""
    near = np.random.default_rng(5).integers(-3, 4, (16, 4)) / 4
    there, here = (run(mode, penalty, near + shift, dtype="float32") for shift in (8192.0, 0.0))
    assert there.value.array == pytest.approx(float(here.value.array), rel=1e-5)
    np.testing.assert_allclose(there.gradient.array, here.gradient.array, rtol=1e-4, atol=1e-6)


@EVERY_MODE
@pytest.mark.parametrize(
    ("penalty", "x", "value", "gradient"),
    [
        (one("VarianceHinge"), [[3e38], [3e38], [3e38], [3e38]], 0.99, [[0], [0], [0], [0]]),
        (one("VarianceHinge"), [[-1e25], [1e25]], 0, [[0], [0]]),
        (one("VarianceHinge", target=2e30), [[-1e25], [1e25]], 2e30 - math.sqrt(2) * 1e25, [[0.5**0.5], [-(0.5**0.5)]]),
        (one("VarianceHinge", target=1e-20, eps=1e-44), [[-1e-25], [1e-25]], 1e-20 - 1e-22, None),
        (one("VarianceHinge", eps=1e-20), [[-1e-30], [1e-30]], 1 - 1e-10, None),
        (one("MeanActivation"), [[1e38], [1e38]], math.inf, [[1e38], [1e38]]),
        (one("MeanActivation"), [[1e-25], [1e-25]], 0, [[1e-25], [1e-25]]),
        (one("KLSparsity", rho=0.5, eps=0.25), [[3e38, -3e38], [3e38, -3e38]], 2 * HALF_LOG, [[0, 0], [0, 0]]),
        (one("Decorrelation"), [[1e25, 1e25], [-1e25, -1e25]], math.inf, None),
        (one("Covariance"), [[1e25, 1e25], [-1e25, -1e25]], math.inf, None),
    ],
    ids=str,
)
def test_what_leaves_the_range_is_right_or_not_finite(
    penalty: Config, x: Any, value: float, gradient: Any, mode: str
) -> None:
    """In float32 sums and squares beyond the range never come out as a wrong number."""
    got = run(mode, penalty, x, dtype="float32")
    assert got.value.array == pytest.approx(value, rel=1e-6, abs=0) or (value == 0 and got.value.array < 1e-38)
    if gradient is not None:
        np.testing.assert_allclose(got.gradient.array, gradient, rtol=1e-6, atol=0)


@EVERY_FRAMEWORK
@pytest.mark.parametrize(
    ("name", "argument", "value", "kind", "expected"),
    [
        *((name, "strength", -1.0, ValueError, "a finite number >= 0") for name in NAMES),
        ("VarianceHinge", "target", -1, ValueError, "a finite number >= 0"),
        ("VarianceHinge", "eps", 0, ValueError, "a finite number > 0"),
        *(("KLSparsity", "rho", rho, ValueError, "a number > 0 and < 1") for rho in (0.0, 1, math.nan)),
        ("KLSparsity", "rho", "5%", TypeError, "a number > 0 and < 1"),
        ("KLSparsity", "eps", 0.5, ValueError, "a number > 0 and < 0.5"),
        ("MeanActivation", "target", math.inf, ValueError, "a finite number"),
        ("MeanActivation", "target", True, TypeError, "a finite number"),
    ],
)
def test_a_bad_argument_is_refused_at_construction(
    framework: str, name: str, argument: str, value: Any, kind: type[Exception], expected: str
) -> None:
    """The same whole sentence in both packages."""
    with pytest.raises(kind) as caught:
        getattr(package(framework), name)(**{"strength": 1.0, argument: value})
    assert str(caught.value) == f"{name}: {argument} must be {expected}; got {value!r}."


@EVERY_MODE
@pytest.mark.parametrize("name", NAMES)
def test_a_mask_over_features_is_refused(name: str, mode: str) -> None:
    """A mask leaves out whole vectors, or the statistics of two features would be over different samples."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        run(mode, one(name), np.zeros((2, 3)), where=np.ones((2, 3)))
    assert (
        str(caught.value) == f"{name}: where must be a mask over samples and positions, not over features; got (2, 3)."
    )


@EVERY_FRAMEWORK
@pytest.mark.parametrize("name", NAMES)
def test_they_are_no_sums_over_samples(framework: str, name: str) -> None:
    """So ``per`` does not apply; and an array without axis names is an activation."""
    penalty = getattr(package(framework), name)(1.0)
    assert not penalty.additive(SEQUENCE)
    assert penalty.default_axes(3) == SEQUENCE


PLACES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("conv1", {}),
    ("conv2", {"mask": "places"}),
    ("act1", {"mask": "rows", "laid_out": True}),
    ("head", {}),
)
PENALTIES = (
    config("Decorrelation", strength=0.1),
    config("Covariance", strength=0.1),
    config("VarianceHinge", strength=0.1, target=5.0),
    config("KLSparsity", strength=0.1),
    config("MeanActivation", strength=0.1, target=0.5),
)
# A normalisation takes biases away again: without a penalty of their own their gradient is 0 but for rounding.
TERMS: tuple[TermSpec, ...] = (
    spec("biases", config("L2", strength=10.0), "params", "conv?.*", "conv1.bias", "conv2.bias", role="bias"),
    *(spec(f"{p.name} {at}", p, "activations", at, at, **more) for p in PENALTIES for at, more in PLACES),
)


@pytest.mark.parametrize("world", WORLDS)
def test_a_model_gives_the_same_numbers_in_every_world(world: str) -> None:
    """Channel-first and channel-last, with and without masks: the same features over the same samples."""
    assert_agrees(world, CNN, TERMS)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_where_it_means_nothing_it_is_an_error(penalty: Config, world: str) -> None:
    """On a kernel, on a bias, with ``per``: the same whole sentence in every world."""
    missing = f"{penalty.name}: axes must be among the axes that the array has, and 'feature' is not; got {{!r}}."
    refused = f"activations: per must be None, because {penalty.name} is not additive; got 'example'."
    wrong = [
        (spec("w", penalty, "params", "first.*", "first.kernel", role="kernel"), missing.format(("out", "in"))),
        (spec("w", penalty, "params", "first.*", "first.bias", role="bias"), missing.format(("out",))),
        (spec("w", penalty, "activations", "first", "first", per="example"), refused),
    ]
    for term, sentence in wrong:
        with pytest.raises(ValueError, match=r"\.$") as caught:
            outcome(world, MLP, (term,))
        assert str(caught.value) == sentence
