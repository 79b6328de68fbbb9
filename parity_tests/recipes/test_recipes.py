"""Every line of the page gives the value and the gradient of what it replaces, in every world."""

from __future__ import annotations

import re

import numpy as np
import pytest

from parity_tests.markdown import ROOT
from parity_tests.options import FULL
from parity_tests.recipes.figures import Figures, asked, close, recorded
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import GIVEN, LINES, PUBLISHED, RECIPES, Recipe
from parity_tests.recipes.published import FORMULAS, figures
from parity_tests.recipes.test_keras import keras
from parity_tests.recipes.worlds import WORLDS

PAGE = ROOT / "docs" / "coming-from.md"


def expected(recipe: Recipe) -> Figures:
    """What the source says; skips where it is a library that is absent."""
    if recipe.source == "published":
        return recorded()[recipe.name]
    return (keras("jax") if recipe.source == "keras" else asked("transformers"))[recipe.name]


@pytest.mark.parametrize("world", [world if world != "linen" else pytest.param(world, marks=FULL) for world in WORLDS])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_line_gives_what_it_replaces(recipe: Recipe, world: str) -> None:
    """Value and gradient agree to 1e-13; Keras answers on JAX, where it computes all of it in float64."""
    close(WORLDS[world](recipe.line, GIVEN, arrays()[recipe.array]), expected(recipe))


def test_the_recorded_figures_are_those_of_the_formulas() -> None:
    """The script, run now, gives what it recorded, inputs and sources included."""
    now = figures()
    assert now.keys() == recorded().keys() == {recipe.name for recipe in PUBLISHED}
    for name, was in recorded().items():
        close(Figures(float(str(now[name]["value"])), np.array(now[name]["gradient"])), was)


@pytest.mark.parametrize("recipe", PUBLISHED, ids=str)
def test_the_gradients_of_the_formulas_are_theirs(recipe: Recipe) -> None:
    """Central differences of the values, whose error is of the order h² + u/h, agree to 1e-6."""
    _, formula = FORMULAS[recipe.name]
    x, h = arrays()[recipe.array], 1e-5
    gradient = formula(x)[1]
    slopes = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        slopes[index] = (formula(x + step)[0] - formula(x - step)[0]) / (2 * h)
    assert np.abs(slopes - gradient).max() <= 1e-6 * np.abs(gradient).max()


@pytest.mark.skipif(not PAGE.exists(), reason="the pages are in a checkout, not in a wheel")
def test_the_page_prints_the_lines_that_are_tested() -> None:
    """Every line of code in a table's column "here" is a recipe's, word for word, and every recipe's is on the page."""
    printed = set()
    for row in re.findall(r"^\| (?!---)(.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        cells = re.split(r"(?<!\\) \| ", row)
        if cells[1] != "here":
            printed |= set(re.findall(r"`([^`]+)`", cells[1]))
    assert printed == LINES
