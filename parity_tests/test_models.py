"""Whole networks: the same weights, batch and regularizer in each world, against the NumPy oracle, in float64.

The loss, the total, every term, every layer's penalty and every parameter's gradient lie within 1e-12 normwise, also
between the worlds, since each is that close to the oracle.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from parity_tests.bounds import THROUGH_A_MODEL
from parity_tests.comparer import Cell, Comparer, Measured
from parity_tests.ledger import MARKER
from parity_tests.models.networks import NETWORKS, batch, masks, weights
from parity_tests.models.reference import Outcome, run
from parity_tests.models.regularizers import TERMS
from parity_tests.models.worlds import WORLDS
from parity_tests.models.worlds import run as run_world
from parity_tests.options import FULL


@lru_cache
def reference(name: str) -> Outcome:
    """The oracle's outcome."""
    network = NETWORKS[name]
    return run(network, weights(network), *batch(network), TERMS[name], masks(network))


def comparisons(name: str) -> int:
    """Loss and total, every term, every layer's penalty, every gradient."""
    layers = sum(1 if term.given.get("joint") else len(term.means) for term in TERMS[name])
    return 2 + len(TERMS[name]) + layers + len(weights(NETWORKS[name]))


def in_its_tier(name: str, world: str) -> Any:
    """A network in a world; Flax operation by operation, which is slow, in the full tier."""
    counted = getattr(pytest.mark, MARKER)(comparisons(name))
    return pytest.param(name, world, marks=[counted, FULL] if world in ("linen", "nnx") else counted)


@pytest.mark.parametrize(("name", "world"), [in_its_tier(name, world) for name in NETWORKS for world in WORLDS])
def test_loss_penalties_and_gradients_equal_the_oracle(name: str, world: str, comparer: Comparer) -> None:
    """Every number that training sees, and every number that a user reads, is the oracle's."""
    network, due = NETWORKS[name], reference(name)
    got = run_world(world, network, weights(network), *batch(network), TERMS[name], masks(network))
    size = sum(array.size for array in weights(network).values())

    def near(what: str, value: float | np.ndarray, expected: float | np.ndarray) -> None:
        cell = Cell(name, what, world, "float64", size)
        measured = Measured(np.asarray(value), str(np.asarray(value).dtype))
        comparer.normwise(cell, what, "A′", measured, np.asarray(expected), THROUGH_A_MODEL)

    near("loss", got.loss, due.loss)
    near("total", got.total, due.total)
    assert got.terms.keys() == due.terms.keys()
    assert got.gradients.keys() == due.gradients.keys()
    for term, value in due.terms.items():
        near(f"term {term}", got.terms[term], value)
        assert got.layers[term].keys() == due.layers[term].keys(), term
        for path, layer in due.layers[term].items():
            near(f"layer {term} {path}", got.layers[term][path], layer)
    for path, gradient in due.gradients.items():
        near(f"gradient {path}", got.gradients[path], gradient)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_oracles_gradient_is_the_difference_of_its_loss(name: str) -> None:
    """The way back of the reference is right: central differences of its loss agree."""
    network, due = NETWORKS[name], reference(name)
    step = 1e-6
    for path, gradient in due.gradients.items():
        for index in list(np.ndindex(gradient.shape))[:: max(gradient.size // 4, 1)]:
            losses = []
            for sign in (1, -1):
                shifted = {key: array.copy() for key, array in weights(network).items()}
                shifted[path][index] += sign * step
                losses.append(run(network, shifted, *batch(network), TERMS[name], masks(network)).loss)
            slope = (losses[0] - losses[1]) / (2 * step)
            assert slope == pytest.approx(gradient[index], rel=1e-5, abs=1e-6), (path, index)
