"""One configuration means the same groups in both frameworks, however a layer stores its parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parity_tests.backends import package, require
from parity_tests.layouts import CASES

FRAMEWORK = {"torch": "torch", "linen": "jax", "nnx": "jax"}
CELLS = [(case, world) for case, found in CASES.items() for world in found.worlds]


def _group_norms(pieces: list[np.ndarray], axis: int) -> float:
    """The unweighted GroupLasso of the pieces by the index of one axis, in loops."""
    total = 0.0
    for piece in pieces:
        for group in np.moveaxis(piece, axis, 0):
            total += math.sqrt(math.fsum(float(x) ** 2 for x in group.ravel()))
    return total


def _gram_distance(pieces: list[np.ndarray]) -> float:
    """The squared distance of W Wᵀ from the identity, summed over the pieces."""
    matrices = [piece.reshape(len(piece), -1) for piece in pieces]
    return math.fsum(float(np.sum((w @ w.T - np.eye(len(w))) ** 2)) for w in matrices)


@pytest.mark.parametrize(("case", "world"), CELLS, ids=[f"{case}-{world}" for case, world in CELLS])
def test_native_layouts_give_the_canonical_groups(case: str, world: str) -> None:
    """Rows, columns, the whole of each piece and its Gram matrix, from native parameters."""
    require(FRAMEWORK[world])
    reg = package(FRAMEWORK[world])
    found = CASES[case]
    draw = np.random.default_rng(7)
    pieces = [draw.normal(size=found.shape) for _ in range(found.count)]
    wholes = math.fsum(math.sqrt(math.fsum(float(x) ** 2 for x in piece.ravel())) for piece in pieces)
    expected = {
        "out": _group_norms(pieces, 0),
        "in": _group_norms(pieces, 1),
        "piece": wholes,
        "gram": _gram_distance(pieces),
    }
    if world == "torch":
        _check(reg, found.worlds[world](pieces), expected)
    else:
        import jax

        with jax.enable_x64(True):
            _check(reg, found.worlds[world](pieces), expected)


def _check(reg, place, expected: dict[str, float]) -> None:
    run, name = place
    target = reg.params(name)
    regularizer = reg.Regularizer(
        reg.GroupLasso(1.0, groups="out", size_weighted=False).on(target, name="out"),
        reg.GroupLasso(1.0, groups="in", size_weighted=False).on(target, name="in"),
        reg.L2Norm(1.0).on(target, name="piece"),
        reg.Orthogonal(1.0, side="out").on(target, name="gram"),
    )
    measured = {name: value.item() for name, value in run(regularizer).terms.items()}
    assert measured == pytest.approx(expected, rel=1e-13, abs=0)
