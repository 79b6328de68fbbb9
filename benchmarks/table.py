"""The tables of a run, for a terminal and for a page: the same rows, losing cases among them."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from .results import Section, Target, Timing

Rows = list[list[str]]


def show(console: Console, section: Section) -> None:
    """Prints one question."""
    console.rule(f"[bold]{section.title}")
    console.print(section.conditions, style="dim", highlight=False)
    if section.aborted:
        console.print(f"ABORTED, nothing was timed: {section.aborted}", style="bold red", markup=False)
    for title, columns, rows in tables(section):
        table = Table(*columns, title=title or None, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for note in section.notes:
        console.print(note, style="dim", highlight=False, markup=False)


def show_targets(console: Console, sections: list[Section]) -> None:
    """Prints every target, met or not."""
    console.rule("[bold]Targets")
    table = Table(*TARGET_COLUMNS)
    for section in sections:
        for target in section.targets:
            color = {True: "green", False: "red", None: "dim"}[target.met]
            table.add_row(*target_row(section, target), style=color)
    console.print(table)


def markdown(machine: dict[str, Any], sections: list[Section]) -> str:
    """All of a run as a page has it."""
    rows = [target_row(section, target) for section in sections for target in section.targets]
    lines = [*_machine(machine), "", "### Targets", "", *_table(TARGET_COLUMNS, rows), ""]
    for section in sections:
        lines += [f"### {section.title}", "", f"{section.conditions}.", ""]
        if section.aborted:
            lines += [f"Aborted, nothing was timed: {section.aborted}", ""]
        for title, columns, found in tables(section):
            lines += [f"{title[0].upper()}{title[1:]}:", ""] if title else []
            lines += [*_table(columns, found), ""]
        lines += [line for note in section.notes for line in (note, "")]
    return "\n".join(lines).rstrip() + "\n"


def tables(section: Section) -> list[tuple[str, list[str], Rows]]:
    """Title, columns and rows of the times and of everything else."""
    grids = [
        (grid.title, grid.columns, [[number(cell) for cell in row] for row in grid.rows]) for grid in section.grids
    ]
    return [("", *_times(section)), *grids] if section.timings else grids


TARGET_COLUMNS = ["question", "what", "target", "measured", "met"]


def target_row(section: Section, target: Target) -> list[str]:
    """One target."""
    met = {True: "met", False: "not met", None: "not judged at these sizes"}[target.met]
    sign = {"<=": "≤", "==": "=", ">=": "≥"}[target.comparison]
    unit = f" {target.unit}" if target.unit else ""
    return [section.title, target.what, f"{sign} {target.limit:g}{unit}", f"{number(target.measured)}{unit}", met]


def _times(section: Section) -> tuple[list[str], Rows]:
    names = {timing.name for timing in section.timings}
    others = [(f"÷ {word}", name) for word, name in _divisors(section) if name in names]
    columns = ["candidate", "median", "quartiles", *(title for title, _ in others), "rounds"]
    bandwidth = any(timing.least_bytes for timing in section.timings)
    columns += ["% of bandwidth"] if bandwidth else []
    rows = []
    for timing in section.timings:
        low, high = timing.quartiles
        row = [timing.name, duration(timing.median), f"{duration(low)} – {duration(high)}"]
        row += [f"{section.over(timing.name, other):.3f}" for _, other in others] + [str(len(timing.seconds))]
        rows.append([*row, _share(timing, section)] if bandwidth else row)
    return columns, rows


def _divisors(section: Section) -> list[tuple[str, str]]:
    first = "one pass" if section.question == "params" else "unpenalised"
    return [(first, section.plain), ("by hand", section.hand)]


def _share(timing: Timing, section: Section) -> str:
    share = timing.least_bytes / timing.median / section.bandwidth if section.bandwidth else 0.0
    return f"{100 * share:.0f}" if share else "–"


def duration(seconds: float) -> str:
    """In a unit in which it is a number of three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def number(value: Any) -> str:
    """A count whole, anything else with three digits or so."""
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _machine(machine: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    rest = {key: value for key, value in machine.items() if key != "versions"}
    return [f"- {key}: {value}" for key, value in rest.items()] + [f"- versions: {versions}"]


def _table(columns: list[str], rows: Rows) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (columns, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], "|" + " --- |" * len(columns), *lines[1:]]
