"""The suite's pytest plugin: what must be present, what is selected, and the check that every comparison ran.

``conftest.py`` loads it. Options outside a checkout need it earlier: ``entry.py`` sees to that for the installed
distribution, ``pytest -p parity_tests.plugin --pyargs parity_tests`` anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from parity_tests import devices, options
from parity_tests.backends import PACKAGES, absent, required
from parity_tests.details import DETAILS, Details
from parity_tests.journal import Journal, cell_id, fingerprint
from parity_tests.ledger import MARKER, Tally, declared_by
from parity_tests.progress import Progress
from parity_tests.report import Collected, write

TALLY = pytest.StashKey[Tally]()
PAGE = pytest.StashKey[Collected]()
DEVICE = pytest.StashKey[ExitStack]()
RESUMED = pytest.StashKey[list[str]]()
MATRIX = "test_penalties.py"
JOURNAL = "parity_journal"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite's own options."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; a backend or a device that was asked for and is absent ends the run here."""
    config.addinivalue_line("markers", f"{MARKER}(n): how many comparisons with an oracle the test makes")
    config.addinivalue_line("markers", f"{options.FULL.name}: runs with --tier full alone")
    options.part(config)
    _backends(options.device(config))
    config.stash[TALLY] = tally = Tally(journal=_journal(config))
    config.stash[RESUMED] = []
    if options.path(config, "--parity-report"):
        config.stash[DETAILS] = Details()
    if not hasattr(config, "workerinput"):  # the reports of all workers come together in the controller
        config.stash[PAGE] = page = Collected()
        config.pluginmanager.register(_Reports(tally, page), "parity-reports")
        if options.tier(config) == "full":
            config.pluginmanager.register(Progress(config), "parity-progress")
    config.stash[DEVICE] = stack = ExitStack()
    stack.enter_context(devices.on(options.device(config)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the frameworks back the precision that they had."""
    if DEVICE in config.stash:
        config.stash[DEVICE].close()


def _backends(device: str) -> None:
    """What TWINREG_REQUIRE names must be present, and whatever is to be tested must have the device."""
    for framework in required():
        if framework not in PACKAGES:
            known = ", ".join(PACKAGES)
            raise pytest.UsageError(f"TWINREG_REQUIRE: a backend must be one of {known}; got {framework!r}.")
        if reason := absent(framework):
            raise pytest.UsageError(f"TWINREG_REQUIRE: {framework} must be present; {reason}.")
    if device == "cpu":
        return
    tested = required() or tuple(name for name in PACKAGES if not absent(name))
    for reason in [devices.missing(name, device) for name in tested] or ["no backend is installed"]:
        if reason:
            raise pytest.UsageError(f"--device: {device} must be present; {reason}.")


def _journal(config: pytest.Config) -> Journal | None:
    path = options.path(config, "--resume")
    if path is None:
        return None
    told = getattr(config, "workerinput", {}).get(JOURNAL)
    return Journal(path, fingerprint(options.device(config))) if told is None else Journal(path, *told)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker what the journal is of, and how much of it was there when the run began."""
    if journal := node.config.stash[TALLY].journal:
        node.workerinput[JOURNAL] = (journal.fingerprint, journal.size)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to the full tier or to other shards (the matrix has seen to its own) and what has passed
    before.
    """
    part, journal, tier = options.part(config), config.stash[TALLY].journal, options.tier(config)
    kept, left = [], []
    for item in items:
        elsewhere = item.path.name != MATRIX and not part.holds(item.path.name)
        if elsewhere or (tier != "full" and item.get_closest_marker(options.FULL.name)):
            left.append(item)
        elif journal and (due := declared_by(item)) and len(journal.done.get(cell_id(item.nodeid), ())) == due:
            left.append(item)
            config.stash[RESUMED].append(item.nodeid)
        else:
            kept.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what the selected tests declare, and as a worker tell the controller."""
    tally, resumed = session.config.stash[TALLY], session.config.stash[RESUMED]
    tally.select(session.items)
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is None:
        tally.resumed(resumed)
    else:
        output["parity_declared"], output["parity_resumed"] = tally.declared, resumed


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take in what an xdist worker selected; every worker selects the same."""
    tally, output = node.config.stash[TALLY], getattr(node, "workeroutput", {})
    tally.declared.update(output.get("parity_declared", {}))
    if not tally.earlier:
        tally.resumed(output.get("parity_resumed", ()))


class _Reports:
    """Takes in the reports of the tests; registered only where they all arrive."""

    def __init__(self, tally: Tally, page: Collected) -> None:
        self._tally, self._page = tally, page

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tally.report(report)
        self._page.report(report)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail a run that compared less than was declared, before anyone reports how it ended."""
    config, tally = session.config, session.config.stash[TALLY]
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        if session.exitstatus == pytest.ExitCode.OK and tally.shortfall():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and tally.earlier:
            session.exitstatus = pytest.ExitCode.OK  # all that was selected has passed before
        if path := options.path(config, "--parity-ledger"):
            tally.write(path)
        if path := options.path(config, "--parity-report"):
            write(path, tally, config.stash[PAGE], options.device(config), int(session.exitstatus))
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Say how many comparisons ran, which were skipped and why, and which were near their bound."""
    tally = config.stash[TALLY]
    nothing = not (tally.declared or tally.skipped or tally.rows or tally.earlier)
    if config.option.collectonly or nothing or exitstatus == pytest.ExitCode.USAGE_ERROR:
        return
    terminalreporter.section("parity")
    for line in tally.summary():
        terminalreporter.line(line)
    if missing := tally.shortfall():
        terminalreporter.line(f"FAILED: {len(missing)} tests ran other comparisons than they declare", red=True)
        for name, (declared, ran) in list(missing.items())[:10]:
            terminalreporter.line(f"  {name}: declared {declared}, ran {ran}", red=True)
