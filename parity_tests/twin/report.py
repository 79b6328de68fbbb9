"""What a comparison found, as rows of a table."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from torchreg._spec.table import aligned

STAGES = ("weights", "layer", "output", "penalty", "loss", "gradient", "step")
HEADS = ("what", "torch", "flax", "shape", "error", "bound", "verdict")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        stage: one of ``weights``, ``layer``, ``output``, ``penalty``, ``loss``, ``gradient``, ``step``.
        torch: the name on the torch side.
        flax: the name on the flax side.
        shape: of what is compared, in flax's axes.
        error: the relative error; None where nothing could be compared.
        bound: the largest error that is allowed; None where nothing is gated.
        note: why nothing was compared, or what is to be known of a difference.
    """

    stage: str
    torch: str
    flax: str
    shape: str = ""
    error: float | None = None
    bound: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the error, if there is one and it is gated, lies within the bound; NaN does not."""
        return self.error is None or self.bound is None or self.error <= self.bound

    @property
    def verdict(self) -> str:
        if self.error is None:
            return "not compared"
        return "not gated" if self.bound is None else "equal" if self.ok else "DIFFERENT"

    def cells(self) -> list[str]:
        """As a line of the table."""
        numbers = ["" if number is None else f"{number:.1e}" for number in (self.error, self.bound)]
        verdict = f"{self.verdict}: {self.note}" if self.note else self.verdict
        return [self.stage, self.torch, self.flax, self.shape, *numbers, verdict]


@dataclass(frozen=True)
class Difference:
    """The first difference, in the order of the computation.

    Attributes:
        stage: as in ``Row``.
        layer: the torch layer, term or step.
        twin: its name on the flax side.
        error: how far apart the two are, relative.
        bound: what is allowed.
        note: where the difference arises, and settings that differ.
    """

    stage: str
    layer: str
    twin: str
    error: float
    bound: float
    note: str = ""

    def __str__(self) -> str:
        where = f"{self.stage} {self.layer}" + (f" (flax: {self.twin})" if self.twin != self.layer else "")
        note = f"; {self.note}" if self.note else ""
        return f"{where}: error {self.error:.3e}, allowed {self.bound:.1e}{note}"


@dataclass(frozen=True)
class Report:
    """The result of ``compare``; ``print`` shows it as a table.

    Attributes:
        rows: every comparison, in the order of the computation.
        ported: how many torch and flax arrays the weights are.
        notes: what was left out, held or summed, and why.
        dtype: the dtype of the comparison.
    """

    rows: tuple[Row, ...]
    ported: tuple[int, int]
    notes: tuple[str, ...] = field(default=())
    dtype: str = "float64"

    @property
    def ok(self) -> bool:
        """Whether everything that was compared is equal within its bound, and something was."""
        return any(row.error is not None for row in self.rows) and all(row.ok for row in self.rows)

    @property
    def first_difference(self) -> Difference | None:
        """The first row that is not equal."""
        for row in self.rows:
            if not row.ok and row.error is not None and row.bound is not None:
                return Difference(row.stage, row.torch, row.flax, row.error, row.bound, row.note)
        return None

    def worst(self, stage: str) -> Row | None:
        """The row of a stage with the largest error."""
        found = [row for row in self.rows if row.stage == stage and row.error is not None]
        return max(found, key=lambda row: (row.error != row.error, row.error), default=None)

    def check(self) -> None:
        """Nothing, where the models are equal.

        Raises:
            AssertionError: they are not; it names the first layer that differs and by how much.
        """
        if not self.ok:
            raise AssertionError(f"the twins differ first in {self.first_difference or 'nothing that was compared'}.")

    def summary(self) -> str:
        """One sentence."""
        counted = f"{self.ported[0]} torch arrays as {self.ported[1]} flax arrays, {self.dtype}"
        if self.ok:
            worst = max((row for row in self.rows if row.error is not None and row.bound), key=_share)
            return f"equal: {counted}; worst: {worst.stage} {worst.torch}, {_share(worst):.2g} of its bound."
        return f"DIFFERENT: {counted}; first: {self.first_difference or 'nothing was compared'}."

    def __str__(self) -> str:
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([aligned(HEADS, [row.cells() for row in self.rows]), *notes, self.summary()])

    def show(self) -> None:
        """Prints the table, with rich where it is installed and the output is a terminal."""
        if importlib.util.find_spec("rich") is None or not sys.stdout.isatty():
            print(self)
            return
        escape = importlib.import_module("rich.markup").escape
        table = importlib.import_module("rich.table").Table(*HEADS)
        for row in self.rows:
            style = "" if row.error is None else "bold red" if not row.ok else "green"
            table.add_row(*map(escape, row.cells()), style=style)
        console = importlib.import_module("rich.console").Console()
        console.print(table)
        for line in (*(f"note: {note}" for note in self.notes), self.summary()):
            console.print(escape(line))


def _share(row: Row) -> float:
    return (row.error or 0.0) / row.bound if row.bound else 0.0


def gathered(notes: Iterable[tuple[str, str]]) -> list[str]:
    """One line for each reason, with the first three of what it holds for and how many more."""
    subjects: dict[str, list[str]] = {}
    for subject, reason in notes:
        subjects.setdefault(reason, []).append(subject)
    lines: list[str] = []
    for reason, found in subjects.items():
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        lines.append(f"{', '.join(found[:3])}{more}: {reason}.")
    return lines
