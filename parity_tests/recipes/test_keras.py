"""Where Keras's own backends part, and where its definitions differ from those here."""

from __future__ import annotations

import numpy as np
import pytest

from parity_tests.backends import require
from parity_tests.recipes.figures import TOLERANCE, Figures, asked, close
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import GIVEN, KERAS, Recipe
from parity_tests.recipes.worlds import WORLDS

SINGLE = 2.0**-24
COSINES = {recipe.name: recipe.line for recipe in KERAS if recipe.name.startswith("orthogonal")}


def keras(backend: str) -> dict[str, Figures]:
    """What Keras answers in float64 on one of its backends; skips where that is absent."""
    require(backend)
    return asked("keras", KERAS_BACKEND=backend, JAX_ENABLE_X64="1")


@pytest.mark.parametrize("recipe", [recipe for recipe in KERAS if recipe.name not in COSINES], ids=str)
def test_both_backends_of_keras_agree(recipe: Recipe) -> None:
    """To 1e-13; but on PyTorch an activity loss is divided by the batch size in float32, with one rounding for the loss
    and one for the quotient. (So are the products of ``OrthogonalRegularizer`` there, which JAX alone is asked for.)
    """
    single = recipe.name.lower().startswith("activity")
    close(keras("torch")[recipe.name], keras("jax")[recipe.name], 2 * SINGLE if single else TOLERANCE)


@pytest.mark.parametrize("world", WORLDS)
def test_l1_at_zero(world: str) -> None:
    """On JAX, Keras's L1 pushes a weight that is exactly 0 by λ; here, and in Keras on PyTorch, it stays."""
    assert np.all(keras("jax")["L1 at zero"].gradient == GIVEN["λ"])
    assert np.all(keras("torch")["L1 at zero"].gradient == 0)
    ours = WORLDS[world]('L1(λ).on(params(role="kernel"))', GIVEN, np.zeros((2, 3)))
    assert ours.value == 0
    assert np.all(ours.gradient == 0)


@pytest.mark.parametrize("world", WORLDS)
def test_orthogonality_with_a_zero_row(world: str) -> None:
    """A row that is exactly zero gets a gradient of NaN in Keras, and 0 here; value and other rows agree."""
    kernel, others = arrays()["kernel"], np.arange(6) != 2
    kernel[:, 2] = 0.0
    ours = WORLDS[world](COSINES["orthogonal rows"], GIVEN, kernel)
    assert np.all(ours.gradient[:, 2] == 0)
    for backend in ("jax", "torch"):
        assert np.all(np.isnan(keras(backend)["orthogonal with a zero row"].gradient[:, 2]))
    theirs = keras("jax")["orthogonal with a zero row"]
    close(Figures(ours.value, ours.gradient[:, others]), Figures(theirs.value, theirs.gradient[:, others]))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_orthogonality_of_a_single_row(backend: str, world: str) -> None:
    """A single row has no pairs, whose mean is NaN in Keras and 0 here."""
    theirs = keras(backend)["orthogonal of one row"]
    ours = WORLDS[world](COSINES["orthogonal rows"], GIVEN, arrays()["kernel"][:, :1])
    assert np.isnan(theirs.value)
    assert np.all(np.isnan(theirs.gradient))
    assert ours.value == 0
    assert np.all(ours.gradient == 0)
