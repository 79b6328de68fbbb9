"""Laws that hold for every array, tried on many: scaling, permutation, sign, the triangle, masks, samples.

Each law compares results of one package, so it needs no oracle and finds what an oracle might share. The default tier
tries the typical configuration of each entry; the full tier tries it on more arrays, and the others too. The arrays of
one seed are computed at once, through each framework's own ``vmap``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from parity_tests.backends import PACKAGES, package
from parity_tests.configs import Config
from parity_tests.families import ENTRIES, Entry, entry_of, fits
from parity_tests.options import tier
from parity_tests.precision import Array
from parity_tests.targets import Target
from parity_tests.trials import Ask, Draw, Trial, close, law

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
