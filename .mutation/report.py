"""The score of a run, and what has survived: each survivor must stand in ``survivors.toml``, with the reason."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def report(packages: list[str], results: dict[str, dict[str, Any]]) -> int:
    """Print the table and every survivor without a reason; how many these are."""
    rows, unexplained = [], []
    for package in packages:
        for source, found in _by_source(results[package]).items():
            left = [row for row in found if row["status"] != "killed"]
            known = [row for row in left if reason(package, row)]
            unexplained += [(package, row) for row in left if row not in known]
            rows.append((f"{package}/{source}", len(found), len(found) - len(left), len(known), len(left) - len(known)))
    print(f"{'source':36} {'mutants':>8} {'killed':>8} {'alike':>8} {'other':>8}")
    for package in packages:
        own = [row[1:] for row in rows if row[0].startswith(f"{package}/")]
        rows.append((f"{package}, all", *(sum(column) for column in zip(*own, strict=True))))
    for name, mutants, killed, known, other in rows:
        share = 100 * killed / (mutants - known) if mutants > known else 100.0
        print(f"{name:36} {mutants:8} {killed:8} {known:8} {other:8} {share:6.1f} %")
    for package, row in unexplained:
        print(f"{row['status']}: {package}/{row['source']}:{row['line']} {row['scope']}: {row['after']}")
    return len(unexplained)


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The last result of each mutant."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else ()
    return {row["name"]: row for row in map(json.loads, lines)}


def _by_source(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(results.values(), key=lambda row: (row["source"], row["line"])):
        found.setdefault(row["source"], []).append(row)
    return found


def reason(package: str, row: dict[str, Any]) -> str:
    """The reason of the first entry that names the mutant; ``...`` in a name stands for anything."""
    place = f"{row['source']} {row['scope']}: {row['after']}"
    places = (place, f"{package}/{place}")
    return next((why for why, names in _reasons() for name in names if any(map(name.fullmatch, places))), "")


@cache
def _reasons() -> list[tuple[str, list[re.Pattern[str]]]]:
    given = tomllib.loads((HERE / "survivors.toml").read_text(encoding="utf-8"))["survivor"]
    return [(entry["reason"], [_pattern(name) for name in entry["mutants"]]) for entry in given]


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, name.split("..."))))
