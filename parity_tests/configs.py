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
