"""What a benchmark finds, as plain data: timings, other numbers, targets, notes."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

COMPARE: dict[str, Callable[[Any, Any], bool]] = {"<=": operator.le, "==": operator.eq, ">=": operator.ge}


@dataclass(frozen=True)
class Timing:
    """The rounds of one candidate: seconds for one call, in the order in which they were measured.

    Attributes:
        least_bytes: what any program must move through memory for this result; 0 where that says nothing.
    """

    name: str
    seconds: list[float]
    least_bytes: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high


@dataclass(frozen=True)
class Target:
    """A number beside what it was hoped to be. ``judged`` is False where the sizes are not those of the target."""

    what: str
    measured: float
    comparison: str
    limit: float
    judged: bool = True
    unit: str = ""

    @property
    def met(self) -> bool | None:
        return COMPARE[self.comparison](self.measured, self.limit) if self.judged else None


@dataclass(frozen=True)
class Grid:
    """Numbers that are not times."""

    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass
class Section:
    """One question.

    Attributes:
        plain: the candidate without a penalty; every time is divided by its median. Empty where there is none.
        hand: what people write; every time is divided by its median too.
        aborted: why nothing was timed.
        bandwidth: bytes per second of the same run.
    """

    question: str
    title: str
    conditions: str
    timings: list[Timing] = field(default_factory=list)
    plain: str = ""
    hand: str = ""
    grids: list[Grid] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    aborted: str = ""
    bandwidth: float = 0.0

    def median(self, name: str) -> float:
        return next(timing.median for timing in self.timings if timing.name == name)

    def over(self, name: str, other: str) -> float:
        """The ratio of two medians."""
        return self.median(name) / self.median(other)


def to_data(machine: dict[str, Any], sections: list[Section]) -> dict[str, Any]:
    """What is written as JSON."""
    return {"machine": machine, "sections": [asdict(section) for section in sections]}


def from_data(data: dict[str, Any]) -> tuple[dict[str, Any], list[Section]]:
    """What ``to_data`` made, read again."""
    sections = []
    for found in data["sections"]:
        parts = {
            "timings": [Timing(**timing) for timing in found["timings"]],
            "grids": [Grid(**grid) for grid in found["grids"]],
            "targets": [Target(**target) for target in found["targets"]],
        }
        sections.append(Section(**{**found, **parts}))
    return data["machine"], sections
