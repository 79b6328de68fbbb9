"""Laws that hold for every array, tried on many: scaling, permutation, sign, the triangle, masks, samples.

Each law compares results of one mode with each other, so it needs no oracle and finds what an oracle might share. The
default tier tries the typical configuration of each entry; the full tier tries it on more arrays, and the others too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import update_wrapper

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from parity_tests.backends import FAST, PACKAGES, Problem, package, value_and_grad
from parity_tests.configs import Config
from parity_tests.families import ENTRIES, Entry, entry_of, fits, is_typical
from parity_tests.options import tier
from parity_tests.oracles import Axes
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
        metafunc.parametrize("mode", FAST)


@dataclass(frozen=True)
class Draw:
    """What a law is tried on, one array after the other from a seed, in shapes that are fixed: nothing compiles twice."""

    rng: np.random.Generator

    def array(self, shape: tuple[int, ...]) -> Array:
        """Normal, with zeros, ties or a wide range."""
        x, kind = self.rng.standard_normal(shape), self.rng.integers(4)
        if kind == 1:
            return x * self.rng.integers(0, 2, x.shape) * self.rng.integers(0, 2, (shape[0], *(1,) * (len(shape) - 1)))
        if kind == 2:
            return np.sign(x) * self.rng.integers(0, 3, x.shape).astype(np.float64)
        return x * 10.0 ** self.rng.uniform(-3, 3, x.shape) if kind == 3 else x

    def factor(self) -> float:
        """Plus or minus a power of two, which rounds nothing: what cancels to 0 does so at every scale."""
        return float(self.rng.choice([-1.0, 1.0]) * 2.0 ** self.rng.integers(-10, 11))


SEEDS = 20  # for hypothesis to choose; many arrays are drawn from each, because they cost less than it does
EXAMPLES = settings().max_examples  # of the tier
TINY = float(np.finfo(float).tiny)
FEW = 200  # arrays for a configuration that is not the typical one of its entry


def law(holds: Callable[[str, Config, Target, Draw], None]) -> Callable[..., None]:
    """A test that tries a law on as many arrays as the tier has examples."""

    @settings(max_examples=SEEDS)
    @given(seed=st.integers(0, 2**32 - 1))
    def test(mode: str, penalty: Config, place: Target, seed: int) -> None:
        draw = Draw(np.random.default_rng(seed))
        for i in range((EXAMPLES if is_typical(penalty) else FEW) // SEEDS):
            try:
                holds(mode, penalty, place, draw)
            except AssertionError:
                note(f"draw {i} of the seed")
                raise

    update_wrapper(test, holds)
    del vars(test)["__wrapped__"]  # pytest would ask for the arguments of the law
    return test


def both(mode: str, penalty: Config, x: Array, axes: Axes, where: np.ndarray | None = None) -> tuple[float, Array]:
    """The penalty of ``x`` and its gradient, in float64."""
    result = value_and_grad(mode, penalty.build, Problem(x, "float64", axes, where))
    return float(result.value.array), result.gradient.array


def value(mode: str, penalty: Config, x: Array, axes: Axes, where: np.ndarray | None = None) -> float:
    """The penalty of ``x`` in float64."""
    return both(mode, penalty, x, axes, where)[0]


def close(got: float | Array, due: float | Array, size: float | Array) -> None:
    """Equal within what a few float64 roundings of terms of this size can do."""
    off, allowed = np.abs(np.asarray(got) - due), 1e-12 * np.asarray(size) + TINY
    assert np.all(off < allowed), f"off by {off}, allowed {allowed}"


@law
def test_homogeneity(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """f(c x) is |c|^d f(x): d is 1 for norms, 2 for squares, 0 for ratios."""
    x, factor = draw.array(place.shape), draw.factor()
    degree = entry_of(penalty).laws.degree or 0
    due = penalty.oracle(factor * x, place.axes)
    got = abs(factor) ** degree * value(mode, penalty, x, place.axes)
    close(value(mode, penalty, factor * x, place.axes), got, due.scale)


@law
def test_permutation_of_rows(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """No penalty knows the order of samples, or of the rows of a matrix; the gradient is permuted with them."""
    x, order = draw.array(place.shape), draw.rng.permutation(place.shape[0])
    check_permuted(mode, penalty, place, x, lambda array: array[order])


@law
def test_permutation_of_columns(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """Nor does it know the order of features, or of columns."""
    x, order = draw.array(place.shape), draw.rng.permutation(place.shape[-1])
    check_permuted(mode, penalty, place, x, lambda array: array[..., order])


def check_permuted(mode: str, penalty: Config, place: Target, x: Array, permute: Callable[[Array], Array]) -> None:
    """The penalty of the permuted array is that of the array, and so is its gradient, permuted."""
    moved, slope_moved = both(mode, penalty, permute(x), place.axes)
    here, slope = both(mode, penalty, x, place.axes)
    due = penalty.oracle(x, place.axes)
    close(moved, here, due.scale)
    close(slope_moved, permute(slope), permute(due.gradient_scale))


@law
def test_signs(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """Flipping signs that do not matter (of elements, of a column, of everything) flips those of the gradient."""
    x = draw.array(place.shape)
    shape = {"element": x.shape, "column": x.shape[-1:], "all": ()}[entry_of(penalty).laws.signs or "all"]
    signs = draw.rng.choice([-1.0, 1.0], size=shape)
    flipped, slope_flipped = both(mode, penalty, x * signs, place.axes)
    here, slope = both(mode, penalty, x, place.axes)
    due = penalty.oracle(x, place.axes)
    close(flipped, here, due.scale)
    close(slope_flipped, slope * signs, due.gradient_scale)


@law
def test_triangle_inequality(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """A norm of a sum is at most the sum of the norms."""
    x, y = draw.array(place.shape), draw.array(place.shape)
    limit = value(mode, penalty, x, place.axes) + value(mode, penalty, y, place.axes)
    assert value(mode, penalty, x + y, place.axes) <= limit * (1 + 1e-13)


@law
def test_subgradients_support(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """A convex penalty lies above its tangent at every point, at a kink too: f(y) >= f(x) + <g(x), y - x>."""
    x, y = draw.array(place.shape), draw.array(place.shape)
    here, slope = both(mode, penalty, x, place.axes)
    there = value(mode, penalty, y, place.axes)
    tangent = here + float(np.sum(slope * (y - x)))
    size = penalty.oracle(x, place.axes).scale + penalty.oracle(y, place.axes).scale
    assert there >= tangent - 1e-12 * (size + float(np.sum(np.abs(slope * (y - x)))))


@law
def test_a_mask_slices_away(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """A masked sample might as well be absent: in the value, in every count, and its gradient is exactly 0.

    The shape must stay the same for the compiled mode, so the sliced array comes from the oracle.
    """
    x = draw.array(place.shape)
    where = draw.rng.random(place.shape[0]) < 0.6
    due = penalty.oracle(x[where], place.axes)
    got, slope = both(mode, penalty, x, place.axes, where)
    close(got, due.value, due.scale)
    assert not slope[~where].any()
    close(slope[where], due.gradient, due.gradient_scale)


@law
def test_additivity_over_samples(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """An additive penalty of a batch is the sum of those of its samples."""
    x, each = draw.array(place.shape), np.arange(place.shape[0])
    parts = [value(mode, penalty, x, place.axes, each == i) for i in each]
    close(value(mode, penalty, x, place.axes), float(np.sum(parts)), penalty.oracle(x, place.axes).scale)


@law
def test_axes_are_names_not_places(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """An array with its axes in the reverse order, and named so, has the same penalty."""
    x = draw.array(place.shape)
    turned, slope_turned = both(mode, penalty, x.T, place.axes[::-1])
    here, slope = both(mode, penalty, x, place.axes)
    due = penalty.oracle(x, place.axes)
    close(turned, here, due.scale)
    close(slope_turned.T, slope, due.gradient_scale)


@law
def test_it_is_never_negative(mode: str, penalty: Config, place: Target, draw: Draw) -> None:
    """A penalty is at least 0."""
    assert value(mode, penalty, draw.array(place.shape), place.axes) >= 0


def test_every_law_has_a_test_and_holds_for_some() -> None:
    """The table of laws names the tests of this file, and each of them is tried on something."""
    assert LAWS.keys() <= globals().keys()
    assert all(list(rows(name, every=False)) for name in LAWS)
