"""The modes that a penalty runs in, behind one function each: NumPy in, NumPy out.

A mode takes the factory of a penalty (called with the package) and a problem, and returns the value and the gradient as
float64 arrays beside the dtypes that they came in. A further mode is one more row of ``MODES``. Both frameworks are
imported inside functions, so the suite collects where only one of them is installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from parity_tests.comparer import Measured
from parity_tests.oracles import Axes, Mask
from parity_tests.precision import Array

PACKAGES = {"torch": "torchreg", "jax": "jaxreg"}
MODULES = {"torch": ("torch",), "jax": ("jax", "flax", "optax")}

Build = Callable[[ModuleType], Callable[..., Any]]


@dataclass(frozen=True)
class Problem:
    """One array to penalise: numbers exact in ``dtype``, axis names (None: the default), mask and memory order."""

    x: Array
    dtype: str
    axes: Axes | None = None
    where: Mask = None
    strided: bool = False


@dataclass(frozen=True)
class Result:
    """What a mode gave."""

    value: Measured
    gradient: Measured


@dataclass(frozen=True)
class Mode:
    """A way to run a penalty: the framework it needs and the function that runs it."""

    framework: str
    run: Callable[[Build, Problem], Result]


@lru_cache
def absent(framework: str) -> str | None:
    """Why the framework cannot be tested here, or None."""
    missing = [name for name in MODULES[framework] if find_spec(name) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} not installed: pip install 'twinreg[{framework}]'"


def required() -> tuple[str, ...]:
    """The frameworks that TWINREG_REQUIRE names."""
    return tuple(name.strip() for name in os.environ.get("TWINREG_REQUIRE", "").split(",") if name.strip())


def require(framework: str) -> None:
    """Skip the test, with the reason, where the framework is absent."""
    if reason := absent(framework):
        pytest.skip(reason)


def package(framework: str) -> ModuleType:
    """``torchreg`` or ``jaxreg``; skips where its framework is absent."""
    require(framework)
    return import_module(PACKAGES[framework])


def torch_array(problem: Problem) -> Any:
    """The leaf tensor; strided, it is a view that steps over NaN along axes in reverse memory order."""
    import torch

    dtype = getattr(torch, problem.dtype)
    if not problem.strided:
        return torch.tensor(problem.x, dtype=torch.float64).to(dtype)
    sizes = problem.x.shape[::-1]
    buffer = torch.full([2 * size + 1 for size in sizes], torch.nan, dtype=dtype)
    view = buffer[tuple(slice(1, 2 * size, 2) for size in sizes)].permute(*reversed(range(len(sizes))))
    return view.copy_(torch.from_numpy(problem.x))


def torch_eager(build: Build, problem: Problem) -> Result:
    """PyTorch as written."""
    import torch

    x = torch_array(problem).requires_grad_()
    where = None if problem.where is None else torch.from_numpy(problem.where.copy())
    value = build(package("torch"))(x, axes=problem.axes, where=where)
    (gradient,) = torch.autograd.grad(value, x, allow_unused=True)
    return Result(from_torch(value), from_torch(torch.zeros_like(x) if gradient is None else gradient))


def from_torch(tensor: Any) -> Measured:
    """A tensor's numbers and dtype."""
    return Measured(tensor.detach().double().cpu().numpy(), str(tensor.dtype).removeprefix("torch."))


def jax_array(problem: Problem) -> Any:
    """The array, in the dtype asked for; strided, it is made from such a view. Call it under x64 if that is float64."""
    import jax.numpy as jnp

    x = problem.x.astype(jnp.dtype(problem.dtype))
    if problem.strided:
        sizes = x.shape[::-1]
        buffer = np.full([2 * size + 1 for size in sizes], np.nan, x.dtype)
        view = buffer[tuple(slice(1, 2 * size, 2) for size in sizes)].T
        view[...] = x
        x = view
    return jnp.asarray(x)


def from_jax(array: Any) -> Measured:
    """An array's numbers and dtype."""
    return Measured(np.asarray(array).astype(np.float64), str(array.dtype))


def jax_eager(build: Build, problem: Problem) -> Result:
    """JAX operation by operation."""
    return _jax_run(_jax_function(build, problem.axes), problem)


def jax_jit(build: Build, problem: Problem) -> Result:
    """JAX with value and gradient compiled as one."""
    return _jax_run(_jax_compiled(build, problem.axes), problem)


def _jax_run(function: Callable[..., Any], problem: Problem) -> Result:
    import jax

    with jax.enable_x64(problem.dtype == "float64"):
        where = None if problem.where is None else jax.numpy.asarray(problem.where)
        value, gradient = function(jax_array(problem), where)
        return Result(from_jax(value), from_jax(gradient))


def _jax_function(build: Build, axes: Axes | None) -> Callable[..., Any]:
    import jax

    penalty = build(package("jax"))
    return jax.value_and_grad(lambda x, where: penalty(x, axes=axes, where=where))


@lru_cache(maxsize=256)
def _jax_compiled(build: Build, axes: Axes | None) -> Callable[..., Any]:
    import jax

    return jax.jit(_jax_function(build, axes))


def release() -> None:
    """Let go of what JAX has compiled, where it is in use: thousands of small programs are gigabytes."""
    if "jax" in sys.modules:
        _jax_compiled.cache_clear()
        sys.modules["jax"].clear_caches()


MODES: dict[str, Mode] = {
    "torch-eager": Mode("torch", torch_eager),
    "jax-eager": Mode("jax", jax_eager),
    "jax-jit": Mode("jax", jax_jit),
}


def value_and_grad(mode: str, build: Build, problem: Problem) -> Result:
    """Run ``problem`` in ``mode``; skips where the mode's framework is absent."""
    require(MODES[mode].framework)
    return MODES[mode].run(build, problem)
