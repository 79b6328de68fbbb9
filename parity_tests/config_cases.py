"""Regularizers that can be written down, as functions of the package, and what the text of some of them is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any

from parity_tests.backends import package
from parity_tests.families import CONFIGS
from parity_tests.schedule_cases import CONFIGURATIONS

Build = Callable[[ModuleType], Any]

TARGETS: list[Build] = [
    lambda m: m.params(),
    lambda m: m.params("conv*.*", role="kernel", exclude=("*.bias", re.compile("head.*")), joint=True, combine="mean"),
    lambda m: m.params(
        re.compile(r"(?i)a\d+", re.DOTALL | re.ASCII), role=("kernel", "bias"), layout=("out", "in", ...)
    ),
    lambda m: m.params("", layout=("piece:4*out", "in")),
    lambda m: m.activations("**.act"),
    lambda m: m.activations(type="ReLU", of="input", index=0, per="position", mask="pad", missing="skip"),
    lambda m: m.activations(("a", "é.*"), type=("LSTM", "GRU"), index="hidden", layout=("sample", "feature", "...")),
]
SUMS: list[Build] = [
    lambda m: m.L1(0.1) + m.L2(0.2),
    lambda m: 2.0 * m.L1(0.1),
    lambda m: 0.5 * (m.L1(1e-300) + 3 * m.GroupLasso(0.2, groups=("in", "out"))) + m.Orthogonal(1, side="both"),
]
WRITTEN = """\
twinreg: 1
terms:
  - name: sparsity
    penalty: {is: L1, strength: 1e-4}
    target: {is: activations, pattern: "*.relu"}
    schedule: {is: linear_schedule, init_value: 0, end_value: 1, transition_steps: 100}
  - penalty:
      is: Sum
      parts:
        - {times: 2, penalty: {is: L2, strength: .5}}
        - {times: 1, penalty: {is: L1, strength: 1}}
    target: {is: params, role: [kernel, bias], exclude: {regex: 'head\\..*', flags: [IGNORECASE]}}
"""


def written(m: ModuleType) -> Any:
    """The regularizer that ``WRITTEN`` says."""
    return m.Regularizer(
        m.L1(1e-4).on(m.activations("*.relu"), name="sparsity", schedule=m.schedules.linear_schedule(0, 1, 100)),
        (2 * m.L2(0.5) + m.L1(1.0)).on(
            m.params(role=("kernel", "bias"), exclude=re.compile(r"head\..*", re.IGNORECASE))
        ),
    )


def schedules(m: ModuleType) -> Iterator[Any]:
    """Every configuration of every schedule, and some of them joined, one join inside another."""
    made = [getattr(m.schedules, name)(**given) for name, given in CONFIGURATIONS]
    yield from made
    inner = m.schedules.join_schedules(made[:2], [10])
    yield m.schedules.join_schedules([inner, made[2], inner], [20, 30.5])
    yield m.schedules.piecewise_constant_schedule(1.0, {})


def penalties(m: ModuleType) -> Iterator[Any]:
    """Every configuration of every penalty that the package exports, and sums."""
    yield from (config.build(m) for config in CONFIGS if hasattr(m, config.name))
    yield from (build(m) for build in SUMS)


@lru_cache
def everything(framework: str) -> Any:
    """A regularizer of every target, every penalty and every schedule."""
    m = package(framework)
    terms = [m.L1(0.1).on(build(m)) for build in TARGETS]
    terms += [penalty.on(m.params(), name=f"penalty {i}") for i, penalty in enumerate(penalties(m))]
    terms += [m.L2(i).on(m.params(), schedule=schedule) for i, schedule in enumerate(schedules(m))]
    return m.Regularizer(*terms)


def simple(**changes: Any) -> dict[str, Any]:
    """A config of one term; a change by ``penalty__strength=...`` replaces a value, ``...`` takes it away."""
    term: dict[str, Any] = {"penalty": {"is": "L1", "strength": 0.1}, "target": {"is": "params"}}
    for path, value in changes.items():
        place, keys = term, path.split("__")
        for key in keys[:-1]:
            place = place[key]
        if value is ...:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value
    return {"twinreg": 1, "terms": [term]}
