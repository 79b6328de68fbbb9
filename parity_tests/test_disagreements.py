"""Where the frameworks disagree with each other, or with the minimum-norm subgradient, and what both packages give.

One test per row holds the packages to one answer; one pins what each framework does by itself, so that a change
upstream is noticed. Where a framework changes, the row here and the arithmetic in ``_arrays.py`` need a look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import FAST, Problem, package, require, value_and_grad
from parity_tests.configs import Config, config
from parity_tests.oracles import Axes

NAN, INF = np.nan, np.inf
OUT, MATRIX, BATCH = ("out",), ("out", "in"), ("sample", "feature")
TIED, TIED_SLOPE = [[2.0, -2.0], [0.0, 1.0]], [[0.5, -0.5], [0.0, 1.0]]


@dataclass(frozen=True)
class Native:
    """What a framework itself gives: the gradient of a function of its own at a point."""

    point: str
    framework: str
    function: Callable[[Any], Any]
    x: Any
    gradient: Any


@dataclass(frozen=True)
class Ours:
    """What both packages give at that point."""

    point: str
    penalty: Config
    axes: Axes
    x: Any
    gradient: Any


def torch_() -> ModuleType:
    require("torch")
    import torch

    return torch


def jnp_() -> ModuleType:
    require("jax")
    import jax.numpy as jnp

    return jnp


def jax_() -> ModuleType:
    require("jax")
    import jax

    return jax


ROWS = [[3.0, 4.0], [0.0, 0.0]]
NATIVE = (
    Native("abs at 0", "jax", lambda x: jnp_().abs(x).sum(), [0.0], [1.0]),
    Native("abs at 0", "torch", lambda x: x.abs().sum(), [0.0], [0.0]),
    Native("1-norm at 0", "jax", lambda x: jnp_().linalg.norm(x, 1), [0.0], [1.0]),
    Native("1-norm at 0", "torch", lambda x: torch_().linalg.norm(x, 1), [0.0], [0.0]),
    Native("2-norm at 0", "jax", lambda x: jnp_().linalg.norm(x), [0.0, 0.0], [NAN, NAN]),
    Native("2-norm at 0", "torch", lambda x: torch_().linalg.norm(x), [0.0, 0.0], [0.0, 0.0]),
    Native("a zero row", "jax", lambda x: jnp_().linalg.norm(x, axis=1).sum(), ROWS, [[0.6, 0.8], [NAN, NAN]]),
    Native("a zero row", "torch", lambda x: torch_().linalg.norm(x, dim=1).sum(), ROWS, [[0.6, 0.8], [0.0, 0.0]]),
    Native("root of squares at 0", "jax", lambda x: jnp_().sqrt((x**2).sum()), [0.0], [NAN]),
    Native("root of squares at 0", "torch", lambda x: torch_().sqrt((x**2).sum()), [0.0], [NAN]),
    Native("inf-norm at 0", "jax", lambda x: jnp_().linalg.norm(x, jnp_().inf), [0.0, 0.0], [0.25, 0.25]),
    Native("inf-norm at 0", "torch", lambda x: torch_().linalg.norm(x, INF), [0.0, 0.0], [0.0, 0.0]),
    Native("ties of max", "jax", lambda x: x.max(), [2.0, 2.0, 1.0], [0.5, 0.5, 0.0]),
    Native("ties of max", "torch", lambda x: x.amax(), [2.0, 2.0, 1.0], [0.5, 0.5, 0.0]),
    Native("ties of max along an axis", "jax", lambda x: x.max(axis=0), [2.0, 2.0, 1.0], [0.5, 0.5, 0.0]),
    Native("ties of max along an axis", "torch", lambda x: x.max(dim=0).values, [2.0, 2.0, 1.0], [1.0, 0.0, 0.0]),
    Native("clip at the bound", "jax", lambda x: jnp_().clip(x, 0.0, 1.0).sum(), [1.0], [0.5]),
    Native("clip at the bound", "torch", lambda x: x.clip(0.0, 1.0).sum(), [1.0], [1.0]),
    Native("maximum(x, 0) at 0", "jax", lambda x: jnp_().maximum(x, 0.0).sum(), [0.0], [0.5]),
    Native("maximum(x, 0) at 0", "torch", lambda x: torch_().maximum(x, torch_().zeros_like(x)).sum(), [0.0], [0.5]),
    Native("relu at 0", "jax", lambda x: jax_().nn.relu(x).sum(), [0.0], [0.0]),
    Native("relu at 0", "torch", lambda x: torch_().relu(x).sum(), [0.0], [0.0]),
    Native("|x|^0.5 at 0", "jax", lambda x: (jnp_().abs(x) ** 0.5).sum(), [0.0], [INF]),
    Native("|x|^0.5 at 0", "torch", lambda x: (x.abs() ** 0.5).sum(), [0.0], [NAN]),
    Native("|x|^1.0 at 0", "jax", lambda x: (jnp_().abs(x) ** 1.0).sum(), [0.0], [1.0]),
    Native("|x|^1.0 at 0", "torch", lambda x: (x.abs() ** 1.0).sum(), [0.0], [0.0]),
    Native("x log x at 0", "jax", lambda x: (x * jnp_().log(x)).sum(), [0.0], [NAN]),
    Native("x log x at 0", "torch", lambda x: (x * torch_().log(x)).sum(), [0.0], [NAN]),
    Native("std of a constant", "jax", lambda x: x.std(), [2.0, 2.0], [NAN, NAN]),
    Native("std of a constant", "torch", lambda x: x.std(), [2.0, 2.0], [0.0, 0.0]),
    Native("ddof of var", "jax", lambda x: x.var(), [0.0, 2.0], [-1.0, 1.0]),
    Native("ddof of var", "torch", lambda x: x.var(), [0.0, 2.0], [-2.0, 2.0]),
    Native("nuclear norm at 0", "jax", lambda x: jnp_().linalg.norm(x, "nuc"), [[0.0, 0.0]], [[1.0, 0.0]]),
    Native("nuclear norm at 0", "torch", lambda x: torch_().linalg.norm(x, "nuc"), [[0.0, 0.0]], [[1.0, 0.0]]),
    Native("leaky_relu at 0", "jax", lambda x: jax_().nn.leaky_relu(x, 0.25).sum(), [0.0], [1.0]),
    Native("leaky_relu at 0", "torch", lambda x: torch_().nn.functional.leaky_relu(x, 0.25).sum(), [0.0], [0.25]),
    Native("hardtanh at 1", "jax", lambda x: jax_().nn.hard_tanh(x).sum(), [1.0], [1.0]),
    Native("hardtanh at 1", "torch", lambda x: torch_().nn.functional.hardtanh(x).sum(), [1.0], [0.0]),
)

FEW = {"rho": 0.25, "eps": 0.125}
OURS = (
    Ours("abs at 0", config("L1", strength=1.0), OUT, [0.0, -0.0], [0.0, 0.0]),
    Ours("2-norm at 0", config("L2Norm", strength=1.0), OUT, [0.0, 0.0], [0.0, 0.0]),
    Ours("a zero row", config("GroupLasso", strength=1.0, size_weighted=False), MATRIX, ROWS, [[0.6, 0.8], [0, 0]]),
    Ours("inf-norm at 0", config("LinfNorm", strength=1.0), OUT, [0.0, 0.0], [0.0, 0.0]),
    Ours("ties of max", config("LinfNorm", strength=1.0), OUT, [2.0, -2.0, 1.0], [0.5, -0.5, 0.0]),
    Ours("ties of max along an axis", config("GroupLinf", strength=1.0), MATRIX, TIED, TIED_SLOPE),
    Ours("clip at the bound", config("KLSparsity", strength=1.0, **FEW), BATCH, [[0.125]], [[0.0]]),
    Ours("maximum(x, 0) at 0", config("Saturation", strength=1.0, limit=1.0), OUT, [1.0, -1.0], [0.0, 0.0]),
    Ours("maximum(x, 0) at 0", config("MaxNorm", strength=1.0, limit=5.0), MATRIX, [[3.0, 4.0]], [[0.0, 0.0]]),
    Ours("|x|^0.5 at 0", config("Lp", strength=1.0, p=0.5, eps=1e-6), OUT, [0.0], [0.0]),
    Ours("|x|^1.0 at 0", config("Lp", strength=1.0, p=1.0, eps=0.0), OUT, [0.0], [0.0]),
    Ours("x log x at 0", config("NegativeEntropy", strength=1.0), BATCH, [[-INF, 1.0, 1.0]], [[0.0, 0.0, 0.0]]),
    Ours("std of a constant", config("VarianceHinge", strength=1.0), BATCH, [[2.0], [2.0]], [[0.0], [0.0]]),
    Ours("nuclear norm at 0", config("Nuclear", strength=1.0), MATRIX, [[0.0, 0.0]], [[0.0, 0.0]]),
)


def gradient(framework: str, function: Callable[[Any], Any], x: Any) -> np.ndarray:
    """The gradient that a framework gives, in float64."""
    if framework == "torch":
        torch = torch_()
        at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(function(at), at)[0].numpy()
    jax = jax_()
    with jax.enable_x64(True):
        return np.asarray(jax.grad(function)(jax.numpy.asarray(x, dtype=jax.numpy.float64)))


@pytest.mark.parametrize("row", NATIVE, ids=lambda row: f"{row.point}-{row.framework}")
def test_a_framework_by_itself_gives_what_it_gave(row: Native) -> None:
    """A failure here is news from upstream: the framework has changed."""
    np.testing.assert_allclose(gradient(row.framework, row.function, row.x), row.gradient, rtol=1e-12)


@pytest.mark.parametrize("mode", FAST)
@pytest.mark.parametrize("row", OURS, ids=lambda row: f"{row.point}-{row.penalty.name}")
def test_both_packages_give_the_minimum_norm_subgradient(row: Ours, mode: str) -> None:
    """One answer, whatever the framework does by itself."""
    result = value_and_grad(mode, row.penalty.build, Problem(np.array(row.x, dtype=float), "float64", row.axes))
    np.testing.assert_allclose(result.gradient.array, row.gradient, rtol=1e-12, atol=1e-15)


def test_every_point_that_a_package_can_meet_is_met() -> None:
    """A row of the frameworks without one of ours is about activation functions and defaults, listed here."""
    models_own = {"leaky_relu at 0", "hardtanh at 1", "relu at 0"}
    same_arithmetic = {"1-norm at 0", "root of squares at 0"}  # L1 and L2Norm, by other names
    written_out = {"ddof of var"}  # tested below
    points = {row.point for row in NATIVE} - models_own - same_arithmetic - written_out
    assert points == {row.point for row in OURS}


@pytest.mark.parametrize("mode", FAST)
def test_the_ddof_of_a_variance_is_written_out(mode: str) -> None:
    """VarianceHinge divides by n − 1 in both packages: var([0, 2]) is 2, so 3 − √2 are missing to a target of 3."""
    hinge = config("VarianceHinge", strength=1.0, target=3.0, eps=1e-12)
    result = value_and_grad(mode, hinge.build, Problem(np.array([[0.0], [2.0]]), "float64", BATCH))
    assert result.value.array == pytest.approx(3 - 2**0.5, rel=1e-9)


def test_gelu_is_another_function_in_each_framework() -> None:
    """JAX's default is the tanh form, PyTorch's the erf form; models that are compared must say which."""
    torch, jax = torch_(), jax_()
    one = float(torch.nn.functional.gelu(torch.tensor(1.0, dtype=torch.float64)))
    with jax.enable_x64(True):
        other, stated = (float(jax.nn.gelu(jax.numpy.float64(1.0), approximate=form)) for form in (True, False))
        default = float(jax.nn.gelu(jax.numpy.float64(1.0)))
    assert default == pytest.approx(other, rel=1e-15)
    assert one == pytest.approx(stated, rel=1e-14)
    assert abs(one - default) > 1e-4


def test_subnormal_numbers_are_flushed_by_one_framework() -> None:
    """On the CPU JAX flushes float32 subnormals and PyTorch keeps them, so no test feeds any."""
    torch, jax = torch_(), jax_()
    subnormal = np.float32(1e-40)
    assert float(torch.tensor(subnormal) * 1.0) != 0.0
    assert float(jax.jit(lambda x: x * 1.0)(jax.numpy.asarray(subnormal) * 0.5)) == 0.0


def test_a_numpy_coefficient_widens_and_ours_does_not() -> None:
    """In JAX np.float32(c) times a bfloat16 array is float32; a penalty holds a Python float, whatever it was given."""
    jnp = jnp_()
    assert (np.float32(0.5) * jnp.ones(1, jnp.bfloat16)).dtype == jnp.float32
    assert (0.5 * jnp.ones(1, jnp.bfloat16)).dtype == jnp.bfloat16
    assert type(package("jax").L1(np.float32(0.5)).strength) is float
    assert type(package("torch").L1(np.float32(0.5)).strength) is float
