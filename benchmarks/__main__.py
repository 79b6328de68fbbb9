"""Measures what penalties cost: ``python -m benchmarks [QUESTION] [--quick] [--json PATH] [--plot DIR]``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import Section
    from .timing import Settings

QUESTIONS = ("params", "activations", "jit", "memory", "scaling", "attach")


def main(arguments: list[str]) -> int:
    """The command; its status is 1 where a question was aborted, whatever the times and the targets are."""
    if arguments[:1] == ["report"]:
        from . import report

        return report.main(arguments[1:])
    chosen = _parse(arguments)
    if chosen.device == "cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # where there is an accelerator, JAX takes it unasked
    # Only now: a word on the command line must not wait for two frameworks.
    import torch
    from rich.console import Console

    from . import machine, plots, table
    from .results import to_data
    from .timing import Settings

    if chosen.device == "cuda" and not torch.cuda.is_available():
        print("--device cuda: PyTorch finds no such device.", file=sys.stderr)
        return 2
    if chosen.quick:
        torch.set_num_threads(1)  # threads that wait for one another are what is slow on a busy machine
    settings = Settings(
        chosen.device, chosen.quick, chosen.rounds or (5 if chosen.quick else 21), 1.5 if chosen.quick else 25.0
    )
    settings = dataclasses.replace(settings, bandwidth=machine.bandwidth(settings))
    told, start = machine.describe(settings), time.perf_counter()
    console = Console() if sys.stdout.isatty() else Console(width=160)
    for key, value in told.items():
        console.print(f"{key}: {value}", highlight=False, markup=False)
    sections = []
    for question in [chosen.question] if chosen.question else QUESTIONS:
        for section in _run(question, settings):
            section.bandwidth = settings.bandwidth
            sections.append(section)
            table.show(console, section)
    table.show_targets(console, sections)
    told["minutes"] = round((time.perf_counter() - start) / 60, 1)
    console.print(f"{told['minutes']} minutes.", highlight=False)
    if chosen.json:
        chosen.json.write_text(json.dumps(to_data(told, sections), indent=1, ensure_ascii=False), encoding="utf-8")
    if chosen.plot:
        console.print(*plots.draw(sections, chosen.plot))
    return int(any(section.aborted for section in sections))


def _run(question: str, settings: Settings) -> list[Section]:
    """A question's sections; what its parity check refuses is told in their place."""
    from . import results
    from .checks import ParityError

    try:
        return importlib.import_module(f"benchmarks.{question}").run(settings)
    except ParityError as error:
        return [results.Section(question, question, "", aborted=str(error))]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("question", nargs="?", choices=QUESTIONS, help="one question alone (default: all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="small sizes, one thread, no targets of time")
    parser.add_argument("--json", type=Path, help="writes every round there, for `python -m benchmarks report`")
    parser.add_argument("--plot", type=Path, help="a folder for pictures of cost and accuracy by size")
    parser.add_argument("--rounds", type=int, help="at most so many rounds (default: 21; 5 when quick)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
