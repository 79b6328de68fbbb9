"""What the tests of both Flax worlds share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxreg

X = jax.random.normal(jax.random.key(0), (6, 4))


def l1_of(pattern: Any = None, **target: Any) -> jaxreg.Regularizer:
    """The plain sum of absolute values of activations, so that every call adds what it is."""
    return jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.activations(pattern, per="batch", **target), name="s"))


def total(x: Any) -> float:
    """The sum of absolute values, in float64."""
    return float(np.abs(np.asarray(x, np.float64)).sum())


def close(got: Any, expected: Any) -> None:
    """Equal to float32 rounding."""
    np.testing.assert_allclose(np.asarray(got, np.float64), np.asarray(expected, np.float64), rtol=2e-6, atol=0)


def same_gradients(loss: Callable[..., Any], plain: Callable[..., Any], at: Any, rtol: float = 1e-5) -> None:
    """The two losses have the same value and gradient."""
    (a, da), (b, db) = jax.value_and_grad(loss)(at), jax.value_and_grad(plain)(at)
    np.testing.assert_allclose(a, b, rtol=rtol)
    jax.tree.map(lambda g, h: np.testing.assert_allclose(g, h, rtol=rtol, atol=rtol * float(jnp.abs(h).max())), da, db)
