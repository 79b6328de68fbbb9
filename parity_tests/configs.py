"""Penalty configurations as data: one description that builds the penalty in either package and calls its oracle."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from parity_tests.oracles import ORACLES, Axes, Expected, Mask
from parity_tests.precision import Array


@dataclass(frozen=True)
class Config:
    """A penalty by its public name and its keyword arguments."""

    name: str
    arguments: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.name}({','.join(f'{key}={_short(value)}' for key, value in self.arguments)})"

    @property
    def given(self) -> dict[str, Any]:
        """The arguments by name."""
        return dict(self.arguments)

    def build(self, package: ModuleType) -> Any:
        """The penalty, made by ``torchreg`` or ``jaxreg``."""
        return getattr(package, self.name)(**self.given)

    def oracle(self, x: Array, axes: Axes, where: Mask = None) -> Expected:
        """What the penalty of ``x`` must be."""
        return ORACLES[self.name](x, axes, where, **self.given)


def _short(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def config(name: str, **arguments: object) -> Config:
    """``config("L1", strength=0.3)``."""
    return Config(name, tuple(arguments.items()))


# Strengths that no binary type holds exactly, so a coefficient that is rounded too early shows.
ELEMENTWISE = (
    config("L1", strength=0.3),
    config("L2", strength=0.7),
    config("ElasticNet", l1=0.3, l2=0.05),
)
NORMS = (config("L2Norm", strength=0.9),)
RATIOS = (
    config("HoyerSquare", strength=0.6),
    config("HoyerSquare", strength=0.6, eps=0.01),
    config("HoyerSquare", strength=0.6, over="batch"),
)
GROUPS = (
    config("GroupLasso", strength=0.4),
    config("GroupLasso", strength=0.4, groups="in"),
    config("GroupLasso", strength=0.4, groups="kernel"),
    config("GroupLasso", strength=0.4, groups=("out", "in")),
    config("GroupLasso", strength=0.4, groups="out", size_weighted=False),
    config("GroupLasso", strength=0.4, groups="sample"),
    config("GroupLasso", strength=0.4, groups="position"),
    config("GroupLasso", strength=0.4, groups="feature"),
    config("GroupLasso", strength=0.4, groups=("sample", "position")),
    config("GroupLasso", strength=0.4, groups="feature", size_weighted=False),
)
MATRICES = tuple(config("Orthogonal", strength=0.2, side=side) for side in ("min", "out", "in", "both"))

CONFIGS: tuple[Config, ...] = ELEMENTWISE + NORMS + RATIOS + GROUPS + MATRICES
