"""What a recipe must give, and where that comes from: another library in a process of its own, or recorded formulas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from parity_tests.precision import Array

TOLERANCE = 1e-13  # relative: of the value, and of the largest element of the gradient
RECORDED = Path(__file__).with_name("published.json")


@dataclass(frozen=True)
class Figures:
    """A value and its gradient, in canonical layout."""

    value: float
    gradient: Array


def close(got: Figures, expected: Figures, tolerance: float = TOLERANCE) -> None:
    """Both are equal, to the tolerance; NaN is equal to nothing."""
    assert got.gradient.shape == expected.gradient.shape
    assert abs(got.value - expected.value) <= tolerance * abs(expected.value)
    assert np.abs(got.gradient - expected.gradient).max() <= tolerance * np.abs(expected.gradient).max()


def require_library(name: str) -> None:
    """Skip the test, with the reason, where another library is absent."""
    if find_spec(name) is None:
        pytest.skip(f"{name} not installed: pip install 'twinreg[recipes]'")


@cache
def asked(library: str, **environment: str) -> dict[str, Figures]:
    """What a library answers for all of its recipes, by name, in a process of its own."""
    require_library(library)
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    result = subprocess.run(
        [sys.executable, "-m", f"parity_tests.recipes.ask_{library}"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return parsed(json.loads(result.stdout.splitlines()[-1]))


@cache
def recorded() -> dict[str, Figures]:
    """The recorded figures by name."""
    return parsed(json.loads(RECORDED.read_text(encoding="utf-8"))["figures"])


def parsed(raw: dict[str, dict[str, object]]) -> dict[str, Figures]:
    """JSON numbers as figures; what is written by ``repr`` is read back to the bit."""
    return {name: Figures(float(str(one["value"])), np.array(one["gradient"])) for name, one in raw.items()}


def plain(value: float, gradient: Array) -> dict[str, object]:
    """Figures as JSON takes them."""
    return {"value": float(value), "gradient": np.asarray(gradient, np.float64).tolist()}
