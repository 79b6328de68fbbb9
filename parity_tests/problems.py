"""What a mode of a backend is given and gives back, and which backends are present."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

from parity_tests import devices
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
    """Skip the test, with the reason, where the framework is absent, or has not the device of the run."""
    if reason := absent(framework) or devices.missing(framework, devices.current()):
        pytest.skip(reason)


def package(framework: str) -> ModuleType:
    """``torchreg`` or ``jaxreg``; skips where its framework is absent."""
    require(framework)
    return import_module(PACKAGES[framework])
