"""The ways to run a penalty in JAX."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np

from parity_tests import devices
from parity_tests.comparer import Measured
from parity_tests.oracles import Axes, Mask
from parity_tests.precision import Array
from parity_tests.problems import Build, Problem, Result, package

KEPT = 128  # functions of each mode: those of the typical configurations, which several tests of a file share


def numpy_array(problem: Problem) -> Any:
    """The array, in the dtype asked for; strided, it is a view that steps over NaN. JAX takes it as it is."""
    import jax

    x = problem.x.astype(jax.numpy.dtype(problem.dtype))
    if not problem.strided:
        return x
    sizes = x.shape[::-1]
    buffer = np.full([2 * size + 1 for size in sizes], np.nan, x.dtype)
    view = buffer[tuple(slice(1, 2 * size, 2) for size in sizes)].T
    view[...] = x
    return view


def from_jax(array: Any) -> Measured:
    """An array's numbers and dtype."""
    return Measured(np.asarray(array).astype(np.float64), _name(array.dtype))


@cache
def _name(dtype: Any) -> str:
    return str(dtype)


def eager(build: Build, problem: Problem) -> Result:
    """JAX operation by operation."""
    return _run(_differentiated(build, problem.axes), problem)


def jit(build: Build, problem: Problem) -> Result:
    """JAX with value and gradient compiled as one."""
    return _run(_compiled(build, problem.axes), problem)


def vmap(build: Build, problem: Problem) -> Result:
    """JAX mapped over a leading axis, and compiled; the array is the second of three, beside zeros and its double."""
    return _run(_mapped(build, problem.axes), problem)


def remat(build: Build, problem: Problem) -> Result:
    """JAX with the penalty rematerialised in backward, and compiled."""
    return _run(_rematerialised(build, problem.axes), problem)


def _run(function: Callable[..., Any], problem: Problem) -> Result:
    import jax

    device = jax.devices(devices.current())[0]
    with jax.enable_x64(problem.dtype == "float64"), jax.default_device(device):
        where = None if problem.where is None else jax.numpy.asarray(problem.where)
        value, gradient = function(numpy_array(problem), where)
        return Result(from_jax(value), from_jax(gradient))


def many(build: Build, xs: Array, axes: Axes, where: Mask) -> tuple[Array, Array]:
    """The values and gradients of many float64 arrays, mapped and compiled; each has a mask of its own, or none has."""
    import jax

    with jax.enable_x64(True), jax.default_device(jax.devices(devices.current())[0]):
        values, gradients = _every(build, axes)(xs, where)
        return np.asarray(values), np.asarray(gradients)


def _plain(build: Build, axes: Axes | None) -> Callable[..., Any]:
    penalty = build(package("jax"))
    return lambda x, where: penalty(x, axes=axes, where=where)


def _differentiated(build: Build, axes: Axes | None) -> Callable[..., Any]:
    import jax

    return jax.value_and_grad(_plain(build, axes))


@lru_cache(maxsize=KEPT)
def _compiled(build: Build, axes: Axes | None) -> Callable[..., Any]:
    import jax

    return jax.jit(_differentiated(build, axes))


@lru_cache(maxsize=KEPT)
def _rematerialised(build: Build, axes: Axes | None) -> Callable[..., Any]:
    import jax

    return jax.jit(jax.value_and_grad(jax.checkpoint(_plain(build, axes))))


@lru_cache(maxsize=KEPT)
def _mapped(build: Build, axes: Axes | None) -> Callable[..., Any]:
    import jax

    mapped = jax.vmap(_differentiated(build, axes), in_axes=(0, None))

    def second(x: Any, where: Any) -> Any:
        stacked = jax.numpy.stack([jax.numpy.zeros_like(x), x, x + x])
        return jax.tree.map(lambda result: result[1], mapped(stacked, where))

    return jax.jit(second)


@lru_cache(maxsize=KEPT)
def _every(build: Build, axes: Axes) -> Callable[..., Any]:
    import jax

    return jax.jit(jax.vmap(_differentiated(build, axes)))  # no mask is no array to map over


def release() -> None:
    """Let go of what JAX has compiled, where it is in use: thousands of small programs are gigabytes."""
    if "jax" in sys.modules:
        for made in (_compiled, _mapped, _rematerialised, _every):
            made.cache_clear()
        sys.modules["jax"].clear_caches()
