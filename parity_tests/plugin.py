"""The suite's pytest plugin: options, the backends that must be present, and the check that every comparison ran.

``conftest.py`` loads it. Options outside a checkout need it earlier: ``entry.py`` sees to that for the installed
distribution, ``pytest -p parity_tests.plugin --pyargs parity_tests`` anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parity_tests.backends import PACKAGES, absent, required
from parity_tests.ledger import MARKER, Tally

TALLY = pytest.StashKey[Tally]()
TIERS = ("pr", "full")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite's own options."""
    group = parser.getgroup("parity", "twinreg parity suite")
    group.addoption(
        "--tier",
        choices=TIERS,
        default="pr",
        help="how much to run: pr (default) leaves the cells that only repeat others to full",
    )
    group.addoption(
        "--parity-ledger",
        type=Path,
        metavar="PATH",
        help="write every comparison with its error, its bound and their ratio as CSV",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; a backend that TWINREG_REQUIRE names and that is absent ends the run here."""
    config.addinivalue_line("markers", f"{MARKER}(n): how many comparisons with an oracle the test makes")
    config.stash[TALLY] = tally = Tally()
    if not hasattr(config, "workerinput"):  # the reports of all workers come together in the controller
        config.pluginmanager.register(_Reports(tally), "parity-reports")
    for framework in required():
        if framework not in PACKAGES:
            known = ", ".join(PACKAGES)
            raise pytest.UsageError(f"TWINREG_REQUIRE: a backend must be one of {known}; got {framework!r}.")
        if reason := absent(framework):
            raise pytest.UsageError(f"TWINREG_REQUIRE: {framework} must be present; {reason}.")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the selected tests declare, and as a worker tell the controller."""
    tally = session.config.stash[TALLY]
    tally.select(session.items)
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["parity_declared"] = tally.declared


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take in what an xdist worker selected; every worker selects the same."""
    node.config.stash[TALLY].declared.update(getattr(node, "workeroutput", {}).get("parity_declared", {}))


class _Reports:
    """Reports reach a hook without their configuration, so this plugin carries it."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of one test."""
        self._tally.report(report)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail a run that passed although comparisons are missing, and write the ledger."""
    config, tally = session.config, session.config.stash[TALLY]
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        if session.exitstatus == pytest.ExitCode.OK and tally.shortfall():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if path := config.getoption("--parity-ledger", default=None):
            tally.write(path)
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Say how many comparisons ran, which were skipped and why, and which were near their bound."""
    tally = config.stash[TALLY]
    if config.option.collectonly or not (tally.declared or tally.skipped or tally.rows):
        return
    terminalreporter.section("parity")
    for line in tally.summary():
        terminalreporter.line(line)
    if missing := tally.shortfall():
        terminalreporter.line(f"FAILED: {len(missing)} tests ran other comparisons than they declare", red=True)
        for name, (declared, ran) in list(missing.items())[:10]:
            terminalreporter.line(f"  {name}: declared {declared}, ran {ran}", red=True)
