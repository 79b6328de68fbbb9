"""The count and the record of comparisons, from the tests to the end of the run, also across worker processes.

A test carries its rows in pytest's ``user_properties``, which travel from an xdist worker to the controller with the
report. What was selected is known when collection ends; what ran is known at the end; the run fails if they differ.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from parity_tests.bounds import WARN
from parity_tests.comparer import Row
from parity_tests.journal import Journal, cell_id

MARKER = "comparisons"
PROPERTY = "parity"


def declared_by(item: pytest.Item) -> int:
    """How many comparisons a test says it makes: the argument of its ``comparisons`` marker."""
    marker = item.get_closest_marker(MARKER)
    return int(marker.args[0]) if marker else 0


@dataclass
class Tally:
    """What one run selected, ran and skipped, and what of its selection an earlier run had done."""

    declared: dict[str, int] = field(default_factory=dict)
    ran: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    earlier: list[Row] = field(default_factory=list)
    journal: Journal | None = None

    def select(self, items: list[pytest.Item]) -> None:
        """Note what the tests that were selected declare."""
        self.declared = {item.nodeid: count for item in items if (count := declared_by(item))}

    def report(self, report: pytest.TestReport) -> None:
        """Take in the report of one phase of one test."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
        if report.when == "call":
            rows = [Row(**value) for key, value in report.user_properties if key == PROPERTY]  # type: ignore[arg-type]
            self.rows += rows
            self.ran[report.nodeid] += len(rows)
            if self.journal and rows and report.passed:
                self.journal.add(report.nodeid, rows)
        if report.failed:
            self.failed.add(report.nodeid)

    def resumed(self, nodeids: Iterable[str]) -> None:
        """Take in what the journal says of tests that were selected and need not run."""
        if self.journal:
            for nodeid in nodeids:
                self.earlier += self.journal.done[cell_id(nodeid)]

    def shortfall(self) -> dict[str, tuple[int, int]]:
        """The tests that ran fewer or more comparisons than they declare and were not skipped: (declared, ran)."""
        names = (self.declared.keys() | self.ran.keys()) - self.skipped.keys()
        pairs = {name: (self.declared.get(name, 0), self.ran[name]) for name in sorted(names)}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def write(self, path: Path) -> None:
        """The ledger as CSV, worst cell first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in self.worst())

    def worst(self) -> list[Row]:
        """All rows, those of earlier runs too, nearest to (or furthest over) their bound first."""
        return sorted(self.earlier + self.rows, key=lambda row: (-row.ratio, row.cell, row.mode, row.quantity))

    def summary(self) -> list[str]:
        """What the end of the run says."""
        skipped = sum(self.declared.get(name, 0) for name in self.skipped)
        lines = [f"{len(self.rows)} comparisons ran, {skipped} skipped, {sum(self.declared.values())} declared"]
        if self.earlier and self.journal:
            lines.append(f"{len(self.earlier)} comparisons more passed in earlier runs, by {self.journal.path}")
        for reason, count in Counter(self.skipped.values()).most_common():
            lost = sum(self.declared.get(name, 0) for name, why in self.skipped.items() if why == reason)
            lines.append(f"skipped {count} tests with {lost} comparisons: {reason}")
        worst = self.worst()
        for level in sorted({row.level for row in worst}):
            row = next(row for row in worst if row.level == level)
            lines.append(f"level {level}: worst error/bound {row.ratio:.3f}, {row.cell} {row.mode} {row.quantity}")
        near = [row for row in worst if row.ratio >= WARN]
        lines += [f"near its bound: {row.ratio:.3f} {row.cell} {row.mode} {row.quantity}" for row in near[:10]]
        if len(near) > 10:
            lines.append(f"near its bound: {len(near) - 10} more, see --parity-ledger")
        return lines


def as_property(row: Row) -> tuple[str, Any]:
    """A row as a user property: plain data that can cross a process."""
    return PROPERTY, asdict(row)
