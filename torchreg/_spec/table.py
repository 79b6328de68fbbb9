"""The table that ``describe`` prints: with rich where it is installed, plainly otherwise."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields

_RIGHT = {"elements", "value"}


@dataclass(frozen=True)
class Row:
    """One array that a term takes in or leaves out."""

    term: str
    penalty: str
    name: str
    shape: str
    axes: str
    role: str
    elements: str
    note: str


def shaped(shape: Sequence[int] | None) -> str:
    """A shape as text; a dash where it is not known before a pass."""
    return "-" if shape is None else "×".join(map(str, shape)) or "scalar"


def text(rows: Sequence[Row]) -> str:
    """The rows as a plain table."""
    return aligned([field.name for field in fields(Row)], _once(rows))


def aligned(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns, under their heads."""
    widths = [max(len(line[i]) for line in (heads, *lines)) for i in range(len(heads))]
    rule = ["-" * width for width in widths]
    return "\n".join("  ".join(map(_pad, heads, line, widths)).rstrip() for line in (heads, rule, *lines))


def values(layers: Mapping[str, Mapping[str, float]]) -> str:
    """What every path of every term came to; whatever is not finite is marked."""
    lines = [
        ["" if i else term, path, f"{value:.6g}", "" if math.isfinite(value) else "not finite"]
        for term, found in layers.items()
        for i, (path, value) in enumerate(found.items())
    ]
    return aligned(["term", "path", "value", "note"], lines)


def _once(rows: Sequence[Row]) -> list[list[str]]:
    """The cells, with the term and its penalty on the first of its rows only."""
    lines, before = [], ""
    for row in rows:
        term, penalty, *others = astuple(row)
        lines.append(["", "", *others] if term == before else [term, penalty, *others])
        before = term
    return lines


def _pad(head: str, cell: str, width: int) -> str:
    return cell.rjust(width) if head in _RIGHT else cell.ljust(width)


def show(rows: Sequence[Row]) -> None:
    """Prints the rows."""
    if importlib.util.find_spec("rich") is None or not sys.stdout.isatty():
        print(text(rows))
        return
    table = importlib.import_module("rich.table").Table()
    for field in fields(Row):
        table.add_column(field.name, justify="right" if field.name in _RIGHT else "left", overflow="fold")
    escape = importlib.import_module("rich.markup").escape
    for line in _once(rows):
        table.add_row(*map(escape, line))
    importlib.import_module("rich").print(table)
