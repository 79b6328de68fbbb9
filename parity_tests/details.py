"""What the report shows of a cell when it is clicked: numbers of the one worst cell of each penalty, mode and type.

Every process keeps the worst ratio that it has met in each of these squares and hands on a cell only when it is worse,
so that few of them travel and the page stays small however many cells there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from parity_tests.bounds import Bound
from parity_tests.cases import Case, expected, problem
from parity_tests.problems import Result

PROPERTY = "parity-detail"
ELEMENTS = 48
Square = tuple[str, str, str]


@dataclass(frozen=True)
class Seen:
    """A cell that has been run: what was given back, what was allowed, and the sentence with which it failed."""

    case: Case
    mode: str
    result: Result
    limits: dict[str, Bound]
    worst: float
    failed: str = ""

    @property
    def ratio(self) -> float:
        """The worst error over its bound; infinite where the result could not be compared."""
        return math.inf if self.failed and not self.worst > 1 else self.worst


Keep = Callable[[Seen], None]


class Details:
    """The worst ratio so far in each square."""

    def __init__(self) -> None:
        self._worst: dict[Square, float] = {}

    def keep(self, seen: Seen) -> dict[str, Any] | None:
        """The cell as plain data if it is the worst of its square until now."""
        square = (seen.case.config.name, seen.mode, seen.case.dtype)
        ratio = math.inf if math.isnan(seen.ratio) else seen.ratio
        if ratio <= self._worst.get(square, -1.0):
            return None
        self._worst[square] = ratio
        return detail(seen)


def detail(seen: Seen) -> dict[str, Any]:
    """Input, result, oracle and bound as plain data; of an array of more than 48 elements the worst 48."""
    given, due, got = problem(seen.case), expected(seen.case), seen.result
    value, gradient = seen.limits.get("value"), seen.limits.get("gradient")
    found = {
        "penalty": seen.case.config.name,
        "config": str(seen.case.config),
        "target": seen.case.target.name,
        "axes": list(seen.case.target.axes),
        "shape": list(given.x.shape),
        "input": seen.case.input_class,
        "dtype": seen.case.dtype,
        "mode": seen.mode,
        "cell": str(seen.case),
        "ratio": seen.ratio,
        "failed": seen.failed,
        "arguments": arguments(seen.case, seen.mode),
        "value": [_number(got.value.array), due.value, None if value is None else float(value.allowed)],
        "elements": [],
    }
    if gradient is not None and got.gradient.array.shape == due.gradient.shape:
        found["elements"] = _elements(given.x, given.where, got.gradient.array, due.gradient, gradient)
    return found


def _number(array: Any) -> float | None:
    return float(array) if np.shape(array) == () else None


def _elements(x: Any, where: Any, got: Any, due: Any, limit: Bound) -> list[list[Any]]:
    """[index, input, counts, backend, oracle, error, allowed] of each element, the rounding to the type within it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(got - due)
        allowed = np.broadcast_to(limit.allowed + limit.rounding, x.shape)
        worst = np.nan_to_num(np.where(error == 0, 0.0, error / allowed), nan=math.inf).ravel()
    order = range(x.size) if x.size <= ELEMENTS else np.argsort(-worst, kind="stable")[:ELEMENTS]
    counts = np.ones(x.shape, bool)
    if where is not None:
        counts &= where.reshape(where.shape + (1,) * (x.ndim - where.ndim))
    rows = []
    for flat in order:
        at = np.unravel_index(int(flat), x.shape)
        numbers = [float(array[at]) for array in (got, due, error, allowed)]
        rows.append([[int(i) for i in at], float(x[at]), bool(counts[at]), *numbers])
    return rows


def arguments(case: Case, mode: str) -> list[str]:
    """What pytest is called with to run the cell alone."""
    test = f"parity_tests.test_penalties::test_value_and_gradient_equal_the_oracle[{case}-{mode}]"
    return ["--pyargs", test, "--tier", "full"]


DETAILS = pytest.StashKey[Details]()  # of a run that makes a report
