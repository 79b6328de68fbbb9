"""Writes the cases of the suite and what their oracles answer as plain data, for an implementation of any language.

``cases.json`` has the cases, ``arrays.npz`` their numbers; the page "What equal means" of the documentation says how
they are read. The same sources write the same content, whose digest is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.bounds import bound
from parity_tests.cases import Case, expected, problem, selected
from parity_tests.precision import Array

SUMMARY = "write cases, oracles' answers and bounds as JSON and NumPy arrays"
FORMAT = 1
DTYPES = ("float64", "float32")
STEP = 2.0**-20  # of what a number is in proportion to: above every rounding, below every mistake


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``cases``."""
    parser.add_argument("out", metavar="OUT_DIR", type=Path, help="the directory, made if it is not there")


def run(arguments: argparse.Namespace) -> int:
    """0 where both files are written, 2 where they cannot be."""
    index, arrays = content()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(index, ensure_ascii=False, indent=1)
        (arguments.out / "cases.json").write_text(text + "\n", encoding="utf-8")
        np.savez_compressed(arguments.out / "arrays.npz", allow_pickle=False, **arrays)
    except OSError as error:
        print(f"cases: {error}", file=sys.stderr)
        return 2
    print(f"{len(index['cases'])} cases in {arguments.out}, digest {digest(index, arrays)}")
    return 0


def rows() -> Iterator[Case]:
    """The cells of the default tier in two types, once for all modes, without the large arrays."""
    seen = dict.fromkeys(case for case, _ in selected("pr", DTYPES) if not case.target.is_large)
    yield from seen


def content() -> tuple[dict[str, Any], dict[str, Array]]:
    """The index and the arrays that it names."""
    arrays: dict[str, Any] = {}
    gradients: list[Array] = []
    allowed: list[Array] = []
    cases, start = [], 0
    for case in rows():
        given, due = problem(case), expected(case)
        value, gradient = (bound(case.config.name, quantity, case.dtype, due) for quantity in ("value", "gradient"))
        x = f"x {case.target.name} {case.dtype} {case.input_class}"
        arrays[x] = given.x.astype(case.dtype)
        where = None
        if given.where is not None:
            where = f"mask {case.target.name} {case.input_class}"
            arrays[where] = given.where
        gradients.append(np.ravel(due.gradient))
        allowed.append(np.ravel(gradient.allowed))
        cases.append(
            {
                "name": str(case),
                "penalty": case.config.name,
                "arguments": case.config.given,
                "target": case.target.name,
                "axes": case.target.axes,
                "shape": given.x.shape,
                "dtype": case.dtype,
                "input": case.input_class,
                "x": x,
                "where": where,
                "value": _number(due.value),
                "value_allowed": _number(float(value.allowed)),
                "gradient": [start, start + due.gradient.size],
                "may_overflow": case.input_class == "overflow",
            }
        )
        start += due.gradient.size
    arrays["gradient"], arrays["gradient_allowed"] = np.concatenate(gradients), np.concatenate(allowed)
    # As a reader finds it: JSON has lists alone.
    return json.loads(json.dumps({"format": FORMAT, "cases": cases})), arrays


def _number(number: float) -> float | str:
    """A number as JSON has it; one that is not finite as a word that ``float`` reads."""
    return number if np.isfinite(number) else str(number)


def digest(index: dict[str, Any], arrays: dict[str, Array]) -> str:
    """A hash of the content that the last bits of a platform's ``pow`` or LAPACK do not change.

    Values and gradients count in steps of 1e-6 of what their terms sum to, which their bound is a known share of; all
    other numbers count to six digits.
    """
    found = sha256()
    for case in index["cases"]:
        kept = {key: case[key] for key in case if key not in ("value", "value_allowed")}
        size, (start, stop) = _units(case), case["gradient"]
        value = _steps(np.array(float(case["value"])), size * float(case["value_allowed"]))
        gradient = _steps(arrays["gradient"][start:stop], size * arrays["gradient_allowed"][start:stop])
        found.update(json.dumps([kept, value, gradient, float(f"{float(case['value_allowed']):.6g}")]).encode())
    for name in sorted(arrays.keys() - {"gradient"}):
        found.update(name.encode() + ",".join(f"{float(number):.6g}" for number in np.ravel(arrays[name])).encode())
    return found.hexdigest()[:16]


def _units(case: dict[str, Any]) -> float:
    """How many times what is allowed is a step."""
    return STEP * (1e13 if case["dtype"] == "float64" else 2.0**21)


def _steps(numbers: Array, size: Array | float) -> list[str]:
    with np.errstate(divide="ignore", invalid="ignore"):
        counted = np.where(numbers == 0, 0.0, np.floor(numbers / size + 0.3))
    return [str(number) for number in np.ravel(counted).tolist()]
