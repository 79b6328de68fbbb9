"""Where the router losses of transformers and of the penalties here part."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parity_tests.recipes.figures import asked
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import GIVEN, TRANSFORMERS
from parity_tests.recipes.worlds import WORLDS

LINES = {recipe.name: recipe.line for recipe in TRANSFORMERS}
SINGLE = 2.0**-24


@pytest.mark.parametrize("world", WORLDS)
def test_mixtral_rounds_probabilities_to_float32(world: str) -> None:
    """As it is, transformers sums float32 probabilities whatever their dtype: the value agrees to its rounding, one for
    each probability, its sum over n tokens, the quotient, the product and the sum over experts.
    """
    theirs = asked("transformers")["Mixtral, in float32"]
    x = arrays()["router"]
    ours = WORLDS[world](LINES["Mixtral"], GIVEN, x)
    tokens, experts = x[..., 0].size, x.shape[-1]
    roundings = 4 + math.log2(tokens) + math.log2(experts)
    assert 1e-13 * ours.value < abs(theirs.value - ours.value) <= roundings * SINGLE * ours.value


@pytest.mark.parametrize("world", WORLDS)
def test_switch_balances_every_sequence_by_itself(world: str) -> None:
    """Switch averages the loss of each sequence, here one loss is of all positions: equal for one sequence alone."""
    theirs = asked("transformers")["Switch, two groups"]
    x = arrays()["router"]
    ours = [WORLDS[world](LINES["Switch, one group"], GIVEN, x[i : i + 1]) for i in range(len(x))]
    assert abs(np.mean([one.value for one in ours]) - theirs.value) <= 1e-13 * theirs.value
    whole = WORLDS[world](LINES["Switch, one group"], GIVEN, x)
    assert abs(whole.value - theirs.value) > 1e-3 * theirs.value


@pytest.mark.parametrize("world", WORLDS)
def test_mixtral_balances_all_layers_together(world: str) -> None:
    """Mixtral pools the tokens of all layers into one loss; here every layer has its own, and they add up."""
    theirs = asked("transformers")["Mixtral, two layers"]
    x = arrays()["router"]
    pooled = WORLDS[world](LINES["Mixtral"], GIVEN, x)
    assert abs(pooled.value - theirs.value) <= 1e-13 * theirs.value
    added = sum(WORLDS[world](LINES["Mixtral"], GIVEN, x[i : i + 1]).value for i in range(len(x)))
    assert abs(added / len(x) - theirs.value) > 1e-3 * theirs.value
