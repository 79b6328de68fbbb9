"""The example's averages over seeds, the choice of λ, and the printed table."""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, stdev

from _digits_data import LAYERS, Run
from rich import box
from rich.console import Console
from rich.table import Table

NAMES = {"torch": "PyTorch", "jax": "JAX"}
DISTRIBUTIONS = {"torch": ("torch",), "jax": ("jax", "flax", "optax"), "both": ("torch", "jax", "flax", "optax")}


@dataclass(frozen=True)
class Row:
    """One backend at one strength, averaged over the seeds."""

    backend: str
    strength: float
    valid: float
    test: float
    deviation: float  # of the test accuracy; NaN for a single seed
    zeros: dict[str, float]
    dead: float
    apart: tuple[float, float] | None  # JAX's loss from PyTorch's, after one step and at the last; the worst seed


def summarise(runs: Sequence[Run]) -> list[Row]:
    """A row for each strength and backend: by strength, PyTorch before JAX."""
    groups: dict[tuple[float, str], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.strength):
        groups.setdefault((run.strength, run.backend), []).append(run)
    rows = []
    for (strength, backend), group in groups.items():
        tests = [run.test for run in group]
        row = Row(
            backend=backend,
            strength=strength,
            valid=mean(run.valid for run in group),
            test=mean(tests),
            deviation=stdev(tests) if len(tests) > 1 else math.nan,
            zeros={name: mean(run.zeros[name] for run in group) for name in group[0].zeros},
            dead=mean(run.dead for run in group),
            apart=distance(group, groups.get((strength, "torch"), [])) if backend == "jax" else None,
        )
        rows.append(row)
    return rows


def distance(runs: Sequence[Run], others: Sequence[Run]) -> tuple[float, float] | None:
    """Between the losses of runs that differ in the backend alone."""
    if not others:
        return None
    pairs = list(zip(runs, others, strict=True))
    after_one, at_last = (max(abs(a.losses[i] - b.losses[i]) for a, b in pairs) for i in (1, -1))
    return after_one, at_last


def choose(rows: Sequence[Row], digits: int) -> float:
    """The strongest λ within one standard error of the best validation accuracy, as counted on so many digits."""
    valid = {row.strength: mean(r.valid for r in rows if r.strength == row.strength) for row in rows}
    best = max(valid.values())
    error = math.sqrt(best * (100 - best) / digits)
    return max(strength for strength, percent in valid.items() if percent >= best - error)


def write_table(rows: Sequence[Row], chosen: float, args: argparse.Namespace, seconds: float) -> None:
    """Print the table, and keep it as text in ``args.out``."""
    with (args.out / "sparse_digits.txt").open("w", encoding="utf-8") as file:
        for console in (Console(), Console(file=file, width=100)):
            console.print(table(rows, chosen, args))
            console.print(notes(args, seconds), highlight=False, soft_wrap=True)


def table(rows: Sequence[Row], chosen: float, args: argparse.Namespace) -> Table:
    made = Table(box=box.SIMPLE_HEAD, padding=0, title=title(args), title_justify="left")
    made.add_column("λ", no_wrap=True)
    made.add_column("backend", no_wrap=True)
    heads = ["valid\n%", "test\n%", "zeros %\nrelu1", "\nrelu2", "\nrelu3", "\nall", "dead\nunits"]
    for head in heads + ["Δ loss\nstep 1", "\nlast"] * (args.backend == "both"):
        made.add_column(head, justify="right", no_wrap=True)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cells = [short(row.strength) + (" *" if row.strength == chosen else ""), NAMES[row.backend], f"{row.valid:.1f}"]
        cells += [f"{row.test:.1f}" + ("" if math.isnan(row.deviation) else f" ± {row.deviation:.1f}")]
        cells += [f"{row.zeros[name]:.1f}" for name in (*LAYERS, "all")]
        cells += [f"{row.dead:.0f}", *(f"{x:.0e}" for x in row.apart or ())]
        end = following is not None and following.strength != row.strength
        made.add_row(*cells, style="bold green" if row.strength == chosen else None, end_section=end)
    return made


def title(args: argparse.Namespace) -> str:
    name = {"mnist": "MNIST", "digits": "scikit-learn's digits"}[args.data]
    seeds = "one seed" if args.seeds == 1 else f"mean ± standard deviation of {args.seeds} seeds"
    return f"L1 on the ReLU outputs of a LeNet: {name}, {seeds}"


def short(strength: float) -> str:
    """3e-4 for 0.0003."""
    if not strength:
        return "0"
    mantissa, exponent = f"{strength:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def notes(args: argparse.Namespace, seconds: float) -> str:
    """What the columns mean, and where the numbers come from."""
    lines = [
        "* the strongest λ within one standard error of the best validation accuracy",
        "zeros and dead units (of 570): on the test images",
    ]
    if args.backend == "both":
        lines.append("Δ loss: |JAX - PyTorch|, largest over seeds: rounding after one step, which training amplifies")
    found = []
    for name in ("twinreg", *DISTRIBUTIONS[args.backend], "numpy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # a checkout that is not installed
            continue
    found.append(f"Python {platform.python_version()}")
    count = args.seeds * len(args.strengths) * (2 if args.backend == "both" else 1)
    work = f"{count} runs of {args.epochs} epochs in {seconds:.0f} s, {time.process_time():.0f} s of processor time"
    return "\n".join([*lines, "", work, f"CPU: {processor()}, {os.cpu_count()} cores", ", ".join(found)])


def processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
