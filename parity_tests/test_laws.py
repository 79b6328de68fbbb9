"""Laws that hold for every array, tried on many: scaling, permutation, sign, the triangle, masks, samples.

Each law compares results of one package, so it needs no oracle and finds what an oracle might share. The default tier
tries the typical configuration of each entry; the full tier tries it on more arrays, and the others too. The arrays of
one seed are computed at once, through each framework's own ``vmap``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import update_wrapper
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from parity_tests.backends import PACKAGES, package, values_and_grads
from parity_tests.configs import Config
from parity_tests.families import ENTRIES, Entry, entry_of, fits, is_typical
from parity_tests.options import tier
from parity_tests.oracles import Axes, Expected, Mask
from parity_tests.precision import Array
from parity_tests.targets import Target

PLACES = (
    Target("matrix", ("out", "in"), (4, 3)),
    Target("batch", ("sample", "feature"), (4, 3)),
    Target("sequence", ("sample", "p0", "feature"), (4, 2, 3)),
)
MASKED = tuple(Target(place.name, place.axes, place.shape, masked=1) for place in PLACES[1:])

Holds = Callable[[Entry, Config], bool]
LAWS: dict[str, tuple[Holds, tuple[Target, ...]]] = {
    "test_homogeneity": (lambda entry, config: entry.laws.degree is not None, PLACES),
    "test_permutation_of_rows": (lambda entry, config: entry.laws.permutes is not None, PLACES),
    "test_permutation_of_columns": (lambda entry, config: entry.laws.permutes == "rows and columns", PLACES),
    "test_signs": (lambda entry, config: entry.laws.signs is not None, PLACES),
    "test_triangle_inequality": (lambda entry, config: entry.laws.norm, PLACES),
    "test_subgradients_support": (lambda entry, config: entry.laws.convex, PLACES),
    "test_a_mask_slices_away": (lambda entry, config: True, MASKED),
    "test_additivity_over_samples": (lambda entry, config: is_additive(config), MASKED),
    "test_axes_are_names_not_places": (lambda entry, config: True, PLACES),
    "test_it_is_never_negative": (lambda entry, config: entry.laws.nonnegative, PLACES),
}


def place_of(config: Config, places: tuple[Target, ...]) -> Target | None:
    """The first of some arrays that a configuration is defined on."""
    return next((place for place in places if fits(config, place)), None)


def is_additive(config: Config) -> bool:
    """Whether a package that is present says that the penalty is a sum over samples, where it is defined on some."""
    place = place_of(config, MASKED)
    if place is None:
        return False
    for framework in PACKAGES:
        try:
            return config.build(package(framework)).additive(place.axes)
        except pytest.skip.Exception:
            continue
    return False


def rows(function: str, every: bool) -> Iterator[tuple[Config, Target]]:
    """The configurations that a law holds for, each with the array that it is tried on."""
    holds, places = LAWS[function]
    for entry in ENTRIES:
        for config in entry.configs if every else entry.configs[:1]:
            place = place_of(config, places)
            if place is not None and holds(entry, config):
                yield config, place


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A law is one test for each configuration and framework."""
    if metafunc.function.__name__ in LAWS:
        found = list(rows(metafunc.function.__name__, tier(metafunc.config) == "full"))
        metafunc.parametrize(("penalty", "place"), found, ids=[str(config) for config, _ in found])
        metafunc.parametrize("framework", PACKAGES)


class Ask(NamedTuple):
    """An array whose penalty and gradient a law wants to see."""

    x: Array
    axes: Axes
    where: Mask = None


Answer = tuple[float, Array]
Trial = Generator[tuple[Ask, ...], tuple[Answer, ...], None]
"""A law tried once: it asks for all that it wants to see, and checks it."""


@dataclass(frozen=True)
class Draw:
    """What a law is tried on: drawn from one seed, in shapes that are fixed, so that all of it is computed at once."""

    penalty: Config
    place: Target
    rng: np.random.Generator

    def array(self) -> Array:
        """Normal, with zeros, ties or a wide range."""
        shape = self.place.shape
        x, kind = self.rng.standard_normal(shape), self.rng.integers(4)
        if kind == 1:
            return x * self.rng.integers(0, 2, x.shape) * self.rng.integers(0, 2, (shape[0], *(1,) * (len(shape) - 1)))
        if kind == 2:
            return np.sign(x) * self.rng.integers(0, 3, x.shape).astype(np.float64)
        return x * 10.0 ** self.rng.uniform(-3, 3, x.shape) if kind == 3 else x

    def factor(self) -> float:
        """Plus or minus a power of two, which rounds nothing: what cancels to 0 does so at every scale."""
        return float(self.rng.choice([-1.0, 1.0]) * 2.0 ** self.rng.integers(-10, 11))

    def ask(self, x: Array, where: Mask = None) -> Ask:
        """For an array with its axes in their order."""
        return Ask(x, self.place.axes, where)

    def due(self, x: Array) -> Expected:
        """What an oracle says of an array."""
        return self.penalty.oracle(x, self.place.axes)


SEEDS = 20  # for hypothesis to choose; many arrays are drawn from each, because they cost less than it does
EXAMPLES = settings().max_examples  # of the tier
FEW = 200  # arrays for a configuration that is not the typical one of its entry
TINY = 4 * float(np.finfo(float).tiny)  # what a product that is flushed to 0 may lack


def law(holds: Callable[[Draw], Trial]) -> Callable[..., None]:
    """A test that tries a law on as many arrays as the tier has examples."""

    @settings(max_examples=SEEDS)
    @given(seed=st.integers(0, 2**32 - 1))
    def test(framework: str, penalty: Config, place: Target, seed: int) -> None:
        draw, number = Draw(penalty, place, np.random.default_rng(seed)), EXAMPLES if is_typical(penalty) else FEW
        trials = [holds(draw) for _ in range(number // SEEDS)]
        columns = zip(*(next(trial) for trial in trials), strict=True)
        answers = zip(*(answered(framework, penalty, list(column)) for column in columns), strict=True)
        for i, (trial, answer) in enumerate(zip(trials, answers, strict=True)):
            try:
                trial.send(answer)
            except StopIteration:
                continue
            except AssertionError:
                note(f"draw {i} of the seed")
                raise
            raise TypeError(f"{holds.__name__} must ask once")

    update_wrapper(test, holds)
    del vars(test)["__wrapped__"]  # pytest would ask for the arguments of the law
    return test


def answered(framework: str, penalty: Config, asks: list[Ask]) -> list[Answer]:
    """The penalties and gradients in float64, of all draws at once."""
    where = None if asks[0].where is None else np.stack([ask.where for ask in asks if ask.where is not None])
    values, slopes = values_and_grads(framework, penalty.build, np.stack([ask.x for ask in asks]), asks[0].axes, where)
    return list(zip(values.tolist(), slopes, strict=True))


def close(got: float | Array, due: float | Array, size: Callable[[], float | Array]) -> None:
    """Equal within what a few float64 roundings of terms of some size can do, which is at least that of their sum."""
    off = np.abs(np.asarray(got) - due)
    if not np.all(off <= 1e-12 * np.abs(due)):
        allowed = 1e-12 * np.asarray(size()) + TINY
        assert np.all(off < allowed), f"off by {off}, allowed {allowed}"


@law
def test_homogeneity(draw: Draw) -> Trial:
    """f(c x) is |c|^d f(x): d is 1 for norms, 2 for squares, 0 for ratios."""
    x, factor = draw.array(), draw.factor()
    (scaled, _), (here, _) = yield draw.ask(factor * x), draw.ask(x)
    degree = entry_of(draw.penalty).laws.degree or 0
    close(scaled, abs(factor) ** degree * here, lambda: draw.due(factor * x).scale)


@law
def test_permutation_of_rows(draw: Draw) -> Trial:
    """No penalty knows the order of samples, or of the rows of a matrix; the gradient is permuted with them."""
    order = draw.rng.permutation(draw.place.shape[0])
    yield from permuted(draw, lambda array: array[order])


@law
def test_permutation_of_columns(draw: Draw) -> Trial:
    """Nor does it know the order of features, or of columns."""
    order = draw.rng.permutation(draw.place.shape[-1])
    yield from permuted(draw, lambda array: array[..., order])


def permuted(draw: Draw, permute: Callable[[Array], Array]) -> Trial:
    """The penalty of the permuted array is that of the array, and so is its gradient, permuted."""
    x = draw.array()
    (moved, slope_moved), (here, slope) = yield draw.ask(permute(x)), draw.ask(x)
    close(moved, here, lambda: draw.due(x).scale)
    close(slope_moved, permute(slope), lambda: permute(draw.due(x).gradient_scale))


@law
def test_signs(draw: Draw) -> Trial:
    """Flipping signs that do not matter (of elements, of a column, of everything) flips those of the gradient."""
    x = draw.array()
    shape = {"element": x.shape, "column": x.shape[-1:], "all": ()}[entry_of(draw.penalty).laws.signs or "all"]
    signs = draw.rng.choice([-1.0, 1.0], size=shape)
    (flipped, slope_flipped), (here, slope) = yield draw.ask(x * signs), draw.ask(x)
    close(flipped, here, lambda: draw.due(x).scale)
    close(slope_flipped, slope * signs, lambda: draw.due(x).gradient_scale)


@law
def test_triangle_inequality(draw: Draw) -> Trial:
    """A norm of a sum is at most the sum of the norms."""
    x, y = draw.array(), draw.array()
    (of_x, _), (of_y, _), (of_both, _) = yield draw.ask(x), draw.ask(y), draw.ask(x + y)
    assert of_both <= (of_x + of_y) * (1 + 1e-13)


@law
def test_subgradients_support(draw: Draw) -> Trial:
    """A convex penalty lies above its tangent at every point, at a kink too: f(y) >= f(x) + <g(x), y - x>."""
    x, y = draw.array(), draw.array()
    (here, slope), (there, _) = yield draw.ask(x), draw.ask(y)
    steps = slope * (y - x)
    above, far = here + float(np.sum(steps)) - there, float(np.sum(np.abs(steps)))
    if not above <= 0:  # a NaN is not
        close(above, 0.0, lambda: draw.due(x).scale + draw.due(y).scale + far)


@law
def test_a_mask_slices_away(draw: Draw) -> Trial:
    """A masked sample might as well be absent: in the value, in every count, and its gradient is exactly 0.

    The shape must stay the same for all draws, so what is said of the sliced array comes from the oracle.
    """
    x = draw.array()
    where = draw.rng.random(x.shape[0]) < 0.6
    ((got, slope),) = yield (draw.ask(x, where),)
    due = draw.due(x[where])
    close(got, due.value, lambda: due.scale)
    assert not slope[~where].any()
    close(slope[where], due.gradient, lambda: due.gradient_scale)


@law
def test_additivity_over_samples(draw: Draw) -> Trial:
    """An additive penalty of a batch is the sum of those of its samples."""
    x = draw.array()
    each = np.eye(x.shape[0], dtype=bool)
    (whole, _), *parts = yield draw.ask(x), *(draw.ask(x, one) for one in each)
    close(whole, float(np.sum([part for part, _ in parts])), lambda: draw.due(x).scale)


@law
def test_axes_are_names_not_places(draw: Draw) -> Trial:
    """An array with its axes in the reverse order, and named so, has the same penalty."""
    x = draw.array()
    (turned, slope_turned), (here, slope) = yield Ask(x.T, draw.place.axes[::-1]), draw.ask(x)
    close(turned, here, lambda: draw.due(x).scale)
    close(slope_turned.T, slope, lambda: draw.due(x).gradient_scale)


@law
def test_it_is_never_negative(draw: Draw) -> Trial:
    """A penalty is at least 0."""
    ((got, _),) = yield (draw.ask(draw.array()),)
    assert got >= 0


def test_every_law_has_a_test_and_holds_for_some() -> None:
    """The table of laws names the tests of this file, and each of them is tried on something."""
    assert LAWS.keys() <= globals().keys()
    assert all(list(rows(name, every=False)) for name in LAWS)
