"""The compiled modes compile an array's function once for each form of the array, not once for each input class."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from parity_tests.backends import release, require, value_and_grad
from parity_tests.cases import Case, classes, problem
from parity_tests.families import CONFIGS
from parity_tests.targets import TARGETS

TALL = next(target for target in TARGETS if target.name == "tall")
CASES = [Case(CONFIGS[0], TALL, "float32", name) for name in classes(CONFIGS[0], TALL)]


class Traced:
    """Builds the penalty of the cases, and counts how often its code is run."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, package: ModuleType) -> Callable[..., Any]:
        penalty = CONFIGS[0].build(package)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.calls += 1
            return penalty(*arguments, **keywords)

        return counted


@pytest.mark.parametrize("mode", ["torch-aot"])
def test_torch_compiles_once_for_each_form(mode: str) -> None:
    """Dynamo makes one graph for each shape and memory order, also when the classes are gone through again."""
    require("torch")
    from torch._dynamo.utils import counters

    release()
    before = counters["stats"]["unique_graphs"]
    for _ in range(2):
        for case in CASES:
            value_and_grad(mode, CONFIGS[0].build, problem(case))
    forms = {(problem(case).x.shape, problem(case).strided) for case in CASES}
    assert counters["stats"]["unique_graphs"] - before == len(forms) < len(CASES)


@pytest.mark.parametrize("mode", ["jax-jit", "jax-vmap", "jax-remat"])
def test_jax_traces_once_for_each_shape(mode: str) -> None:
    """The penalty's own code is run for a shape that is new, and then no more."""
    require("jax")
    build = Traced()
    for _ in range(2):
        for case in CASES:
            value_and_grad(mode, build, problem(case))
    shapes = {problem(case).x.shape for case in CASES}
    assert build.calls == len(shapes) < len(CASES)


def test_jax_eager_runs_every_time() -> None:
    """The count can tell: without a compiler the code is run for each array."""
    require("jax")
    build = Traced()
    for case in CASES:
        value_and_grad("jax-eager", build, problem(case))
    assert build.calls == len(CASES)
