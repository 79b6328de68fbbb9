"""Penalties with one bug each, written once for both frameworks, that the comparison must kill.

A bug is a function of the array and of the framework's few operations; it stands in for the penalty of a configuration
and meets the same cells. ``RIGHT`` holds the same formulas without a bug: they must pass, or the kills prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from parity_tests.configs import Config, config

Formula = Callable[[Any, "Kit"], Any]


@dataclass(frozen=True)
class Kit:
    """What the formulas need beyond the operators that arrays of both frameworks share."""

    stop: Callable[[Any], Any]
    where: Callable[[Any, Any, Any], Any]
    eye: Callable[[int, Any], Any]
    narrow: Callable[[Any], Any]


@dataclass(frozen=True)
class Seed:
    """A bug: the configuration that it poses as, the target whose cells it meets, and the formula."""

    name: str
    config: Config
    target: str
    formula: Formula


def kit(package: ModuleType) -> Kit:
    """The operations of the framework of ``torchreg`` or ``jaxreg``."""
    if package.__name__ == "torchreg":
        import torch

        return Kit(
            stop=lambda x: x.detach(),
            where=torch.where,
            eye=lambda n, x: torch.eye(n, dtype=x.dtype),
            narrow=lambda x: x.to(torch.bfloat16).to(x.dtype),
        )
    import jax
    import jax.numpy as jnp

    return Kit(
        stop=jax.lax.stop_gradient,
        where=jnp.where,
        eye=lambda n, x: jnp.eye(n, dtype=x.dtype),
        narrow=lambda x: jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7),
    )


class Posing:
    """Builds the callable that poses as the penalty of a package; hashable, so a compiled mode can keep it."""

    def __init__(self, formula: Formula) -> None:
        self._formula = formula

    def __call__(self, package: ModuleType) -> Callable[..., Any]:
        tools = kit(package)
        return lambda x, axes=None, where=None: self._formula(x, tools)


def magnitude(x: Any, k: Kit) -> Any:
    """|x| with gradient 0 at 0."""
    return k.where(x == 0, 0.0, abs(x))


def root(s: Any, k: Kit) -> Any:
    """√s with gradient 0 at 0."""
    return k.where(s == 0, 0.0, k.where(s == 0, 1.0, s) ** 0.5)


def ratio(x: Any, k: Kit, eps: float) -> Any:
    """(Σ|x|)² / (Σx² + eps) for each row."""
    return magnitude(x, k).sum(1) ** 2 / ((x**2).sum(1) + eps)


def distance(w: Any, k: Kit) -> Any:
    """‖WWᵀ − I‖²_F."""
    return ((w @ w.T - k.eye(len(w), w)) ** 2).sum()


L1, L2, NORM = config("L1", strength=0.3), config("L2", strength=0.7), config("L2Norm", strength=0.9)
LASSO = config("GroupLasso", strength=0.4)
HOYER = config("HoyerSquare", strength=0.6, eps=0.01)
OUT = config("Orthogonal", strength=0.2, side="out")

RIGHT = (
    Seed("L1", L1, "tall", lambda x, k: 0.3 * magnitude(x, k).sum()),
    Seed("L2", L2, "tall", lambda x, k: 0.7 * (x**2).sum()),
    Seed("L2Norm", NORM, "tall", lambda x, k: 0.9 * root((x**2).sum(), k)),
    Seed("GroupLasso", LASSO, "tall", lambda x, k: 0.4 * 5**0.5 * root((x**2).sum(1), k).sum()),
    Seed("HoyerSquare", HOYER, "features", lambda x, k: 0.6 * ratio(x, k, 0.01).sum() / 5),
    Seed("Orthogonal", OUT, "tall", lambda x, k: 0.2 * distance(x, k)),
)

BUGS = (
    Seed("mean over n - 1", HOYER, "features", lambda x, k: 0.6 * ratio(x, k, 0.01).sum() / 4),
    Seed("a missed element", L1, "tall", lambda x, k: 0.3 * magnitude(x.reshape(-1)[1:], k).sum()),
    Seed("a double count", L1, "tall", lambda x, k: 0.3 * (magnitude(x, k).sum() + abs(x[-1, -1]))),
    Seed("strength off by 1e-6", L2, "tall", lambda x, k: 0.7 * (1 + 1e-6) * (x**2).sum()),
    Seed("half of the squares", L2, "tall", lambda x, k: 0.35 * (x**2).sum()),
    Seed("a detached factor", L2, "tall", lambda x, k: 0.7 * (k.stop(x) * x).sum()),
    Seed("detached altogether", L2, "tall", lambda x, k: 0.7 * (k.stop(x) ** 2).sum() + 0 * x.sum()),
    Seed("summed in bfloat16", L1, "tall", lambda x, k: 0.3 * magnitude(k.narrow(x), k).sum()),
    Seed("gradient 1 at 0", L1, "tall", lambda x, k: 0.3 * k.where(x >= 0, x, -x).sum()),
    Seed("NaN hidden at the zero array", NORM, "tall", lambda x, k: 0.9 * (x**2).sum() ** 0.5),
    Seed("eps under the root", NORM, "tall", lambda x, k: 0.9 * ((x**2).sum() + 1e-12) ** 0.5),
    Seed("eps off", HOYER, "features", lambda x, k: 0.6 * ratio(x, k, 0.0101).sum() / 5),
    Seed("eps squared", HOYER, "features", lambda x, k: 0.6 * ratio(x, k, 0.0001).sum() / 5),
    Seed("wrong side", OUT, "tall", lambda x, k: 0.2 * distance(x.T, k)),
    Seed("wrong axis", LASSO, "tall", lambda x, k: 0.4 * 5**0.5 * root((x**2).sum(0), k).sum()),
    Seed("size weight of the wrong axis", LASSO, "tall", lambda x, k: 0.4 * 6**0.5 * root((x**2).sum(1), k).sum()),
    Seed("identity left out", OUT, "tall", lambda x, k: 0.2 * ((x @ x.T) ** 2).sum()),
    Seed("diagonal left out", OUT, "tall", lambda x, k: 0.2 * ((x @ x.T * (1 - k.eye(len(x), x))) ** 2).sum()),
    Seed("signed sum", OUT, "tall", lambda x, k: 0.2 * (x @ x.T - k.eye(len(x), x)).sum()),
    Seed("squares for magnitudes", L1, "tall", lambda x, k: 0.3 * (x**2).sum()),
)
