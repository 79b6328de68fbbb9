"""The run itself tested: comparisons that did not run fail it, whatever was selected, with workers and without."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from parity_tests.ledger import MARKER
from parity_tests.options import FULL

FILE = f"""
import numpy as np
import pytest
from parity_tests.comparer import Cell, Comparer, Measured
from parity_tests.conftest import comparer

def compare(comparer, name, factor=1.0):
    one = np.ones(())
    cell = Cell(name, "L1", "mode", "float64", 1)
    comparer.close(cell, "value", "A", Measured(factor * one, "float64"), one, one, "float64")

@pytest.mark.{MARKER}(2)
def test_whole(comparer):
    compare(comparer, "first")
    compare(comparer, "second", 1.7)

@pytest.mark.{MARKER}(2)
def test_short(comparer):
    compare(comparer, "third")

@pytest.mark.{MARKER}(3)
def test_absent(comparer):
    pytest.skip("no such backend")

def test_undeclared(comparer):
    compare(comparer, "fourth")
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes started here find the suite where this one did, installed or in a checkout."""
    here = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A run of the file above, in a process of its own."""
    pytester.makepyfile(test_file=FILE)
    return pytester.runpytest_subprocess("-p", "parity_tests.plugin", "-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_a_comparison_that_did_not_run_fails_the_run(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """All tests pass, one ran less than it declares: the run fails and names it."""
    result = run(pytester, "-k", "whole or short or absent", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["3 comparisons ran, 3 skipped, 7 declared", "*test_short: declared 2, ran 1"])


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=FULL)], ids=["one process", "two workers"])
def test_only_what_was_selected_is_due(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """The count is that of the selection, and a skip is counted with its reason."""
    result = run(pytester, "-k", "whole or absent", *workers)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["2 comparisons ran, 3 skipped, 5 declared", "skipped 1 tests with 3 comparisons: no such backend"]
    )


def test_a_comparison_that_nobody_declared_fails_the_run(pytester: pytest.Pytester) -> None:
    """More than was declared is a mistake in the table as well."""
    result = run(pytester, "-k", "undeclared")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*test_undeclared: declared 0, ran 1"])


def test_the_ledger_has_every_comparison_worst_first(pytester: pytest.Pytester) -> None:
    """One row each, with its error, its bound and their ratio; what is near its bound is named at the end."""
    result = run(pytester, "-k", "whole", "--parity-ledger=deep/cells.csv")
    with (Path(pytester.path) / "deep" / "cells.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cell"], float(row["ratio"])) for row in rows] == [("second", pytest.approx(0.7)), ("first", 0.0)]
    result.stdout.fnmatch_lines(["near its bound: 0.700 second mode value"])


def test_a_backend_that_is_required_must_be_known(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is no backend ends the run before any test."""
    monkeypatch.setenv("TWINREG_REQUIRE", "tensorflow,torch")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*TWINREG_REQUIRE: a backend must be one of torch, jax; got 'tensorflow'."])


def test_a_backend_that_is_required_and_absent_is_an_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not a skip."""
    monkeypatch.setenv("TWINREG_REQUIRE", "jax")
    pytester.makeconftest("import parity_tests.problems\nparity_tests.problems.MODULES['jax'] = ('no_such_module',)")
    result = run(pytester, "-p", "conftest")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*TWINREG_REQUIRE: jax must be present; no_such_module not installed*"])


@pytest.mark.parametrize("tier", ["pr", "full"])
def test_the_installed_suite_knows_its_options(pytester: pytest.Pytester, tier: str) -> None:
    """``--pyargs parity_tests`` takes the suite's options in a directory without a conftest."""
    # The distribution may be installed, and then names the module by itself: once is enough.
    installed = ("-p", "no:parity_tests", "-p", "parity_tests.entry", "-p", "no:cacheprovider", "--tier", tier)
    result = pytester.runpytest_subprocess(*installed, "--pyargs", "parity_tests.test_precision")
    assert result.ret == pytest.ExitCode.OK
    assert pytester.runpytest_subprocess(*installed).ret == pytest.ExitCode.USAGE_ERROR
