"""Cost and accuracy of L1 from a thousand to a hundred million elements, value and gradient, in both frameworks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jaxreg
import torchreg

from . import checks
from .results import Grid, Section, Target
from .timing import Settings, rounds

TORCH = {
    "torchreg.L1": torchreg.L1(1.0),
    "torch: abs().sum()": lambda x: x.abs().sum(),
    "torch: linalg.vector_norm(x, 1)": lambda x: torch.linalg.vector_norm(x, 1),
}
JAX = {
    "jaxreg.L1, jit": jaxreg.L1(1.0),
    "jax: abs(x).sum(), jit": lambda x: jnp.abs(x).sum(),
    "jax: linalg.norm(x, 1), jit": lambda x: jnp.linalg.norm(x, 1),
}
RUNNING = "one float32 running sum"
OURS = ("torchreg.L1", "jaxreg.L1, jit")


def run(settings: Settings) -> list[Section]:
    """One section: a row of times and one of errors for each size."""
    sizes = [10**k for k in range(3, 7 if settings.quick else 9)]
    times, errors = {}, {}
    for n in sizes:
        x = np.random.default_rng(n).standard_normal(n, dtype=np.float32)
        calls = _calls(x, settings)
        errors[n] = _errors(x, calls)
        limited = replace(settings, seconds=settings.seconds / 3)
        times[n] = {timing.name: timing.median for timing in rounds(calls, limited)}
    names = [*TORCH, *JAX]
    section = Section(
        "scaling",
        "L1 from 1e3 elements on: value and gradient",
        f"normal float32, n = {sizes[0]:.0e} to {sizes[-1]:.0e}; 8 bytes an element, x read and the gradient written",
        grids=[
            Grid("milliseconds", ["n", *names], [[n, *(1e3 * times[n][name] for name in names)] for n in sizes]),
            Grid(
                "% of the bandwidth",
                ["n", *names],
                [[n, *(100 * 8 * n / times[n][name] / settings.bandwidth for name in names)] for n in sizes],
            ),
            Grid(
                "exponent of the cost (1 = linear)",
                ["from n", *names],
                [[sizes[i], *(_slope(sizes[i:], times, name) for name in names)] for i in range(2, len(sizes) - 1)],
            ),
            Grid("error / u", ["n", "B(n) / u", *names, RUNNING], [[n, *errors[n]] for n in sizes]),
        ],
        notes=[
            "Over 100 % of the bandwidth of memory: the arrays are in the caches.",
            "The cost has a step where arrays leave the caches, and where the system has to hand out the memory of a "
            "gradient anew at each call; every column has it.",
        ],
    )
    for name in OURS:
        worst = max(errors[n][1 + names.index(name)] / errors[n][0] for n in sizes)
        slope = _slope([n for n in sizes if n >= 10**5], times, name)
        section.targets.append(Target(f"{name}: worst error ÷ B(n)", worst, "<=", 1.0))
        section.targets.append(
            Target(f"{name}: exponent of the cost from 1e5 on (1 = linear)", slope, "<=", 1.1, not settings.quick)
        )
    return [section]


def _calls(x: np.ndarray, settings: Settings) -> dict[str, Callable[[], Any]]:
    """Value and gradient of every candidate."""
    leaf = torch.from_numpy(x).to(settings.device).requires_grad_()

    def in_torch(penalty: Callable[[Any], Any]) -> Callable[[], Any]:
        def call() -> Any:
            value = penalty(leaf)
            return value, torch.autograd.grad(value, leaf)[0]

        return call

    def in_jax(penalty: Callable[[Any], Any]) -> Callable[[], Any]:
        array = jnp.asarray(x)
        compiled = jax.jit(jax.value_and_grad(penalty)).lower(array).compile()
        return lambda: jax.block_until_ready(compiled(array))

    calls = {name: in_torch(penalty) for name, penalty in TORCH.items()}
    return calls | {name: in_jax(penalty) for name, penalty in JAX.items()}


def _errors(x: np.ndarray, calls: dict[str, Callable[[], Any]]) -> list[float]:
    """B(n) and the errors of all, in u; our own values and gradients must be right before anything is timed."""
    due, result = checks.magnitudes([x]), []
    for name, call in calls.items():
        value, gradient = call()
        value = value.item()
        result.append(abs(value - due) / (due * checks.UNIT))
        if name in OURS:
            checks.value(name, value, due, checks.pairwise(x.size))
            if not np.array_equal(_array(gradient), np.sign(x)):
                raise checks.ParityError(f"{name}: the gradient must be sign(x) at n = {x.size}.")
    running = float(np.add.accumulate(np.abs(x))[-1])
    return [checks.pairwise(x.size) / checks.UNIT, *result, abs(running - due) / (due * checks.UNIT)]


def _array(x: Any) -> np.ndarray:
    return x.cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def _slope(sizes: list[int], times: dict[int, dict[str, float]], name: str) -> float:
    """The exponent of the least-squares line through the logarithms; NaN where there are not two sizes."""
    if len(sizes) < 2:
        return math.nan
    logs = np.log([times[n][name] for n in sizes])
    return float(np.polyfit(np.log(sizes), logs, 1)[0])
