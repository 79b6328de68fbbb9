"""Where a paper, its released code and the penalty here part, and what the difference is."""

from __future__ import annotations

import numpy as np
import pytest

from parity_tests.backends import package
from parity_tests.recipes.figures import TOLERANCE
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import GIVEN, PUBLISHED
from parity_tests.recipes.published import hoyer_square
from parity_tests.recipes.worlds import WORLDS

LINES = {recipe.name: recipe.line for recipe in PUBLISHED}


def largest_defect(rows: np.ndarray) -> float:
    """λ times the largest element of |WWᵀ − I|."""
    return GIVEN["λ"] * float(np.abs(rows @ rows.T - np.eye(len(rows))).max())


@pytest.mark.parametrize("world", WORLDS)
def test_mutual_coherence_normalises_and_the_mc_term_does_not(world: str) -> None:
    """Bansal's MC is the largest element of |WWᵀ − I|: the coherence of filters of length 1 alone."""
    unit, free = arrays()["unit kernel"], arrays()["kernel"]
    at_unit = WORLDS[world](LINES["mutual coherence"], GIVEN, unit)
    assert abs(at_unit.value - largest_defect(unit)) <= TOLERANCE * at_unit.value
    assert abs((at_unit.gradient * unit).sum(axis=1)).max() <= TOLERANCE  # no pull along a filter
    assert WORLDS[world](LINES["mutual coherence"], GIVEN, free).value < 0.9 * largest_defect(free)


@pytest.mark.parametrize("world", WORLDS)
def test_the_released_srip_is_the_square_of_an_underestimate(world: str) -> None:
    """The released code takes one power step from a random vector, and squares; its root is at most the norm here."""
    rows = arrays()["kernel"]
    ours = WORLDS[world](LINES["SRIP"], GIVEN, rows).value / GIVEN["λ"]
    defect = rows @ rows.T - np.eye(len(rows))
    estimates = []
    for seed in range(20):
        v = defect @ np.random.default_rng(seed).random(len(rows))
        estimates.append(np.linalg.norm(defect @ v) / np.linalg.norm(v))
    assert max(estimates) <= ours * (1 + TOLERANCE)
    assert min(estimates) < 0.99 * ours


@pytest.mark.parametrize("world", WORLDS)
def test_the_variance_term_of_the_vicreg_paper_has_no_half(world: str) -> None:
    """The released code halves each branch's term, the paper does not: there the line is without ``/ 2``."""
    x = arrays()["embedding"]
    halved = WORLDS[world](LINES["VICReg variance"], GIVEN, x)
    whole = WORLDS[world]('VarianceHinge(μ).on(activations("projector"))', GIVEN, x)
    deviation = np.sqrt(x.var(axis=0, ddof=1) + 1e-4)
    assert abs(whole.value - GIVEN["μ"] * np.maximum(1 - deviation, 0).mean()) <= TOLERANCE * whole.value
    assert abs(whole.value - 2 * halved.value) <= TOLERANCE * whole.value


def ratios(framework: str, joint: bool) -> float:
    """Hoyer-Square on the two kernels of a network."""
    module, x = package(framework), arrays()
    reg = module.Regularizer(module.HoyerSquare(GIVEN["λ"]).on(module.params(role="kernel", joint=joint)))
    if framework == "torch":
        import torch

        model = torch.nn.Sequential(torch.nn.Linear(6, 4).double(), torch.nn.Linear(4, 6).double())
        for one, name in zip(model, ("kernel", "tall kernel"), strict=True):
            one.weight.data = torch.tensor(x[name])
        return reg.apply(model, torch.ones(1, 6, dtype=torch.float64))[1].total.item()
    import jax
    from flax import linen as nn

    with jax.enable_x64(True):
        model = nn.Sequential([nn.Dense(4), nn.Dense(6)])
        kernels = {f"layers_{i}": x[name].T for i, name in enumerate(("kernel", "tall kernel"))}
        parameters = {name: {"kernel": kernel, "bias": np.zeros(kernel.shape[1])} for name, kernel in kernels.items()}
        return reg.apply(model, {"params": jax.tree.map(jax.numpy.asarray, parameters)}, np.ones((1, 6)))[
            1
        ].total.item()


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_deep_hoyer_adds_a_ratio_for_every_layer(framework: str) -> None:
    """As its code does; ``joint=True`` is one ratio for all layers, which is another number."""
    x = arrays()
    added = sum(hoyer_square(x[name])[0] for name in ("kernel", "tall kernel"))
    joint = hoyer_square(np.concatenate([x["kernel"].ravel(), x["tall kernel"].ravel()]))[0]
    assert abs(ratios(framework, joint=False) - added) <= TOLERANCE * added
    assert abs(ratios(framework, joint=True) - joint) <= TOLERANCE * joint
    assert abs(added - joint) > 1e-3 * joint
