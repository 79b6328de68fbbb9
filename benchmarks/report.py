"""``python -m benchmarks report RESULTS.json [--into PAGE.md]``: a run's tables as Markdown, or into a page."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .results import from_data
from .table import markdown

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, help="a page with the two markers, between which the tables go")
    chosen = parser.parse_args(arguments)
    text = markdown(*from_data(json.loads(chosen.results.read_text(encoding="utf-8"))))
    if chosen.into is None:
        sys.stdout.write(text)
    else:
        chosen.into.write_text(between(chosen.into.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def between(page: str, text: str) -> str:
    """The page with the text between its markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise SystemExit(f"The page must have {BEGIN} and {END} once each.")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"
