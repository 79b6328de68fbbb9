"""One page of HTML that shows a run: worst error over bound of each penalty in each mode, and the cell behind each.

The page holds its data, its style and its script, and asks nothing of any other place. It holds numbers of the worst
cell of each square alone, so its size does not grow with the number of cells.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from parity_tests import devices
from parity_tests.backends import MODES
from parity_tests.comparer import Row
from parity_tests.details import PROPERTY, Square
from parity_tests.families import FAMILIES
from parity_tests.journal import versions
from parity_tests.ledger import Tally
from parity_tests.precision import DTYPES

TEMPLATE = Path(__file__).with_name("report.html")
PLACE = "/*DATA*/"
WORST = 40  # rows of the list of the worst comparisons


@dataclass
class Collected:
    """The details that tests have handed on, and how tests ended."""

    details: dict[Square, dict[str, Any]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    def report(self, report: pytest.TestReport) -> None:
        """Take in the report of one phase of one test."""
        if report.when == "call" or not report.passed:
            self.outcomes[report.outcome] += 1
        if report.when != "call":
            return
        for name, detail in report.user_properties:
            if name == PROPERTY and isinstance(detail, dict):
                square = (detail["penalty"], detail["mode"], detail["dtype"])
                if square not in self.details or detail["ratio"] > self.details[square]["ratio"]:
                    self.details[square] = detail


def squares(rows: list[Row], details: dict[Square, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each "penalty mode dtype": the worst ratio, the number of comparisons, and the detail of a cell, if any."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        square = found.setdefault(f"{row.penalty} {row.mode} {row.dtype}", {"ratio": 0.0, "count": 0, "cell": row.cell})
        square["count"] += 1
        if row.ratio > square["ratio"] or math.isnan(row.ratio):
            square["ratio"], square["cell"] = row.ratio, row.cell
    for (penalty, mode, dtype), detail in details.items():
        square = found.setdefault(f"{penalty} {mode} {dtype}", {"ratio": 0.0, "count": 0, "cell": detail["cell"]})
        if detail["ratio"] >= square["ratio"] or math.isnan(detail["ratio"]):
            square |= {"ratio": detail["ratio"], "cell": detail["cell"], "detail": detail}
    return found


def data(tally: Tally, page: Collected, device: str, exitstatus: int) -> dict[str, Any]:
    """All that the page shows."""
    rows = [row for row in tally.worst() if row.mode in MODES]
    found = squares(rows, page.details)
    penalties = [[family, name] for family, entries in FAMILIES.items() for name in _names(entries)]
    shown = {name.split(" ")[0] for name in found}
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": device,
        "exit": exitstatus,
        "command": " ".join(["pytest", *sys.argv[1:]]),
        "versions": _versions(),
        "precision": devices.precision(),
        "counts": _counts(tally, page),
        "skips": Counter(tally.skipped.values()).most_common(),
        "penalties": [pair for pair in penalties if pair[1] in shown],
        "modes": [mode for mode in MODES if any(row.mode == mode for row in rows)],
        "dtypes": [[name, DTYPES[name].short] for name in DTYPES if any(row.dtype == name for row in rows)],
        "squares": found,
        "worst": [[r.ratio, r.cell, r.mode, r.quantity, r.level, r.error, r.bound, r.n] for r in rows[:WORST]],
    }


def _names(entries: Any) -> list[str]:
    return list(dict.fromkeys(entry.name for entry in entries))


def _versions() -> dict[str, str]:
    found = versions()
    try:
        found["twinreg"] = version("twinreg")
    except PackageNotFoundError:
        found["twinreg"] = "not installed"
    return found


def _counts(tally: Tally, page: Collected) -> dict[str, int]:
    skipped = sum(tally.declared.get(name, 0) for name in tally.skipped)
    return {
        "comparisons": len(tally.rows),
        "declared": sum(tally.declared.values()),
        "skipped": skipped,
        "from earlier runs": len(tally.earlier),
        "tests passed": page.outcomes["passed"],
        "tests failed": page.outcomes["failed"],
    }


def write(path: Path, tally: Tally, page: Collected, device: str, exitstatus: int) -> None:
    """Write the page."""
    text = json.dumps(data(tally, page, device, exitstatus), ensure_ascii=False, separators=(",", ":"))
    # NaN and Infinity are words of JavaScript; "</" could end the script.
    filled = TEMPLATE.read_text(encoding="utf-8").replace(PLACE, text.replace("</", "<\\/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(filled, encoding="utf-8")
