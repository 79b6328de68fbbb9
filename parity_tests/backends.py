"""The modes that a penalty runs in, behind one function each: NumPy in, NumPy out.

A mode takes the factory of a penalty (called with the package) and a problem, and returns the value and the gradient as
float64 arrays beside the dtypes that they came in. A further mode is one more row of ``MODES``. Both frameworks are
imported inside functions, so the suite collects where only one of them is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parity_tests import jax_modes, torch_modes
from parity_tests.oracles import Axes, Mask
from parity_tests.precision import Array
from parity_tests.problems import (
    PACKAGES,
    Build,
    Problem,
    Result,
    absent,
    package,
    require,
    required,
)


@dataclass(frozen=True)
class Mode:
    """A way to run a penalty: the framework it needs and the function that runs it."""

    framework: str
    run: Callable[[Build, Problem], Result]


MODES: dict[str, Mode] = {
    "torch-eager": Mode("torch", torch_modes.eager),
    "torch-aot": Mode("torch", torch_modes.aot),
    "torch-inductor": Mode("torch", torch_modes.inductor),
    "jax-eager": Mode("jax", jax_modes.eager),
    "jax-jit": Mode("jax", jax_modes.jit),
    "jax-vmap": Mode("jax", jax_modes.vmap),
    "jax-remat": Mode("jax", jax_modes.remat),
}
MANY = {"torch": torch_modes.many, "jax": jax_modes.many}
PLAIN = ("torch-eager", "jax-eager", "jax-jit")
FAST = ("torch-eager", "jax-jit")  # one of each framework


def value_and_grad(mode: str, build: Build, problem: Problem) -> Result:
    """Run ``problem`` in ``mode``; skips where the mode's framework is absent."""
    require(MODES[mode].framework)
    return MODES[mode].run(build, problem)


def values_and_grads(framework: str, build: Build, xs: Array, axes: Axes, where: Mask = None) -> tuple[Array, Array]:
    """Of many float64 arrays along a first axis, and of their masks; skips where the framework is absent."""
    require(framework)
    return MANY[framework](build, xs, axes, where)


def release() -> None:
    """Let go of what the modes have compiled."""
    torch_modes.release()
    jax_modes.release()


__all__ = [
    "FAST",
    "MODES",
    "PACKAGES",
    "PLAIN",
    "Build",
    "Mode",
    "Problem",
    "Result",
    "absent",
    "package",
    "release",
    "require",
    "required",
    "value_and_grad",
    "values_and_grads",
]
