"""Penalties of singular values: repeats that rounding has parted, ranges, and maps over stacks of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import package
from parity_tests.configs import config
from parity_tests.test_matrices import EVERY_MODE, FACTORISED, ISOMETRY, PLAIN, run


@EVERY_MODE
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_repeats_that_rounding_has_parted_are_one(dtype: str, mode: str) -> None:
    """An orthogonal matrix that is rounded has all singular values alike: the gradient is the mean over all, W/n."""
    q = np.linalg.qr(np.random.default_rng(4).standard_normal((40, 40)))[0]
    x = q.astype(dtype).astype(np.float64)
    eps = float(np.finfo(dtype).eps)
    result = run(mode, PLAIN, x, dtype=dtype)
    np.testing.assert_allclose(result.gradient.array, x / 40, atol=8 * eps)
    still = run(mode, ISOMETRY, x, dtype=dtype)
    assert float(still.value.array) < 40 * eps
    np.testing.assert_array_equal(still.gradient.array, np.zeros((40, 40)))


@EVERY_MODE
@pytest.mark.parametrize(("roundings", "shares"), [(4, [0.5, 0.5]), (16, [1.0, 0.0])])
def test_how_far_apart_is_one_grows_with_the_root_of_the_size(roundings: int, shares: list[float], mode: str) -> None:
    """Values half the slack apart share the gradient, and twice the slack apart do not; the value is the largest."""
    n, eps = 64, float(np.finfo(np.float32).eps)
    x = np.diag([1.0, 1.0 - roundings * eps * math.sqrt(n), *(n - 2) * [0.25]])
    result = run(mode, PLAIN, x, dtype="float32")
    assert float(result.value.array) == 1.0
    np.testing.assert_allclose(np.diag(result.gradient.array)[:2], shares, atol=1e-6)


@EVERY_MODE
@pytest.mark.parametrize("power", [1, 2])
def test_gradients_far_from_1_are_in_range(power: int, mode: str) -> None:
    """σ₁ of 2⁸⁰ and of 2⁻⁸⁰ in float32: the slope of the square is σ₁ u vᵀ although the square is beyond the range."""
    for exponent in (-80, 80):
        x = np.ldexp(np.array([[1.0, 1.0], [1.0, 1.0]]), exponent)
        result = run(mode, config("SpectralNorm", strength=1.0, power=power), x, dtype="float32")
        if power == 1:
            assert float(result.value.array) == pytest.approx(np.ldexp(2.0, exponent), rel=1e-6)
        if power == 1 or exponent < 0:
            due = x if power == 2 else np.full((2, 2), 0.5)
            np.testing.assert_allclose(result.gradient.array, due, rtol=1e-6)
        else:
            assert not np.isfinite(result.value.array)
            assert not np.isfinite(result.gradient.array).any()


@pytest.mark.parametrize("name", FACTORISED)
def test_a_stack_of_matrices_maps(name: str, float64_jax: Any) -> None:
    """Gradients under vmap are those of each matrix alone, also beside a matrix that is zero or not finite."""
    torch_package, jax_package = package("torch"), package("jax")
    import torch

    x = np.random.default_rng(9).standard_normal((4, 3, 5))
    x[1], x[2, 0, 0] = 0.0, math.nan
    mine, theirs = getattr(torch_package, name)(0.3), getattr(jax_package, name)(0.3)
    mapped = torch.func.vmap(torch.func.grad(mine))(torch.from_numpy(x)).numpy()
    other = np.asarray(float64_jax.jit(float64_jax.vmap(float64_jax.grad(theirs)))(x))
    for i, one in enumerate(x):
        alone = run("torch-eager", config(name, strength=0.3), one).gradient.array
        np.testing.assert_allclose(mapped[i], alone, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(other[i], alone, rtol=1e-12, atol=1e-14)
