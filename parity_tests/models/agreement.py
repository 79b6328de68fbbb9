"""Terms of one family on a network, in one world, against the oracle: what a family's file of tests asks of a model."""

from __future__ import annotations

import numpy as np
import pytest

from parity_tests.bounds import THROUGH_A_MODEL
from parity_tests.models import reference, worlds
from parity_tests.models.networks import Network, batch, masks, weights
from parity_tests.models.reference import Outcome
from parity_tests.models.terms import TermSpec
from parity_tests.options import FULL

# Of one family's terms; those of several go through linen in every tier, and compiling a model is what costs.
WORLDS = ("torch", pytest.param("linen-jit", marks=FULL), "nnx-jit")


def outcome(world: str, network: Network, terms: tuple[TermSpec, ...]) -> Outcome:
    """What a world gives; skips where its framework is absent."""
    return worlds.run(world, network, weights(network), *batch(network), terms, masks(network))


def assert_agrees(world: str, network: Network, terms: tuple[TermSpec, ...]) -> None:
    """Every layer's penalty and every parameter's gradient is the oracle's, within 1e-12 normwise."""
    got = outcome(world, network, terms)
    due = reference.run(network, weights(network), *batch(network), terms, masks(network))
    assert got.layers.keys() == due.layers.keys()
    for term, layers in due.layers.items():
        assert got.layers[term].keys() == layers.keys(), term
        for path, value in layers.items():
            assert value != 0, f"{term} at {path} proves nothing"
            assert abs(got.layers[term][path] - value) <= THROUGH_A_MODEL * abs(value), f"{term} at {path}"
    assert got.gradients.keys() == due.gradients.keys()
    for path, gradient in due.gradients.items():
        error = np.linalg.norm(got.gradients[path] - gradient)
        assert error <= THROUGH_A_MODEL * np.linalg.norm(gradient), path
