"""Second derivatives away from kinks: the change of the gradient along a direction is that of the oracle's gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import PACKAGES, Problem, package
from parity_tests.cases import tiered, typical
from parity_tests.configs import Config
from parity_tests.families import CONFIGS, entry_of
from parity_tests.jax_modes import from_jax, numpy_array
from parity_tests.precision import Array
from parity_tests.targets import Target
from parity_tests.torch_modes import from_torch, torch_array

PAIRS = [tiered(c, t) for c in CONFIGS for t in typical(c) if not t.masked]


def torch_product(penalty: Any, problem: Problem, along: Array) -> Array:
    """The Hessian times a vector, in PyTorch: the gradient of the gradient's product with it."""
    import torch

    x = torch_array(problem).requires_grad_()
    (gradient,) = torch.autograd.grad(penalty(x, axes=problem.axes), x, create_graph=True)
    if not gradient.requires_grad:  # linear here: nothing of x is left
        return np.zeros(problem.x.shape)
    (product,) = torch.autograd.grad((gradient * torch.from_numpy(along)).sum(), x, allow_unused=True)
    return (
        np.zeros(problem.x.shape) if product is None else from_torch(product + 0.0).array
    )  # not a zero without memory


def jax_product(penalty: Any, problem: Problem, along: Array) -> Array:
    """The Hessian times a vector, in JAX: reverse over reverse, compiled."""
    import jax

    with jax.enable_x64(True):
        slope = jax.grad(lambda x: penalty(x, axes=problem.axes))
        product = jax.jit(jax.grad(lambda x, v: (slope(x) * v).sum()))
        return from_jax(product(numpy_array(problem), jax.numpy.asarray(along))).array


PRODUCTS: dict[str, Callable[[Any, Problem, Array], Array]] = {"torch": torch_product, "jax": jax_product}


@pytest.mark.parametrize("framework", PACKAGES)
@pytest.mark.parametrize(("penalty", "target"), PAIRS, ids=lambda item: getattr(item, "name", str(item)))
def test_the_hessian_is_the_change_of_the_gradient(penalty: Config, target: Target, framework: str) -> None:
    """Within the error of a central difference of the oracle's gradient."""
    rng = np.random.default_rng(23)
    unit = "unit" in entry_of(penalty).extra
    x = (
        rng.uniform(0.1, 0.9, target.shape)
        if unit
        else rng.choice([-1.0, 1.0], target.shape) * rng.uniform(0.5, 2.0, target.shape)
    )
    along, step = rng.standard_normal(target.shape), 2.0**-16
    up, down = (penalty.oracle(x + sign * step * along, target.axes).gradient for sign in (1, -1))
    got = PRODUCTS[framework](penalty.build(package(framework)), Problem(x, "float64", target.axes), along)
    size = float(np.max(penalty.oracle(x, target.axes).gradient_scale))
    np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=1e-6, atol=1e-7 * size)
