"""How far a long run is: a bar where there is a terminal and rich or tqdm, else now and then a line."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, Protocol

import pytest

EVERY = 30.0  # seconds between two lines


class Display(Protocol):
    """What shows the state of the run."""

    def show(self, done: int, total: int, failed: int) -> None: ...

    def close(self) -> None: ...


class Rich:
    """A bar by rich, drawn only when it is told to: pytest takes hold of the terminal while a test runs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Left

        columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn(), Left())
        self._bar = Progress(*columns, console=Console(file=sys.__stdout__), auto_refresh=False)
        self._task = self._bar.add_task("parity", total=None)
        self._next = 0.0
        self._bar.start()

    def show(self, done: int, total: int, failed: int) -> None:
        self._bar.update(self._task, completed=done, total=total, description=said(failed))
        if time.monotonic() >= self._next or done == total:
            self._bar.refresh()
            self._next = time.monotonic() + 0.2

    def close(self) -> None:
        self._bar.stop()


class Tqdm:
    """A bar by tqdm."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc="parity", unit="test", file=sys.__stdout__, dynamic_ncols=True, mininterval=0.2)

    def show(self, done: int, total: int, failed: int) -> None:
        self._bar.total = total
        self._bar.set_description_str(said(failed), refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class Lines:
    """A line at a time, for a log."""

    def __init__(self, writer: Any, every: float = EVERY) -> None:
        self._writer, self._every = writer, every
        self._begun = self._said = time.monotonic()

    def show(self, done: int, total: int, failed: int) -> None:
        now = time.monotonic()
        if done == total or now - self._said >= self._every:
            self._said = now
            left = (now - self._begun) / done * (total - done)
            text = f"{said(failed)}: {done}/{total} tests, {done / total:.1%}, about {left / 60:.0f} min left"
            self._writer.line(f"\n{text}" if self._writer.width_of_current_line else text)

    def close(self) -> None:
        """A log needs no end."""


def said(failed: int) -> str:
    """The name of the bar, with what has gone wrong so far."""
    return f"parity, {failed} failed" if failed else "parity"


def display(config: pytest.Config) -> Display:
    """The best there is."""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        for kind in (Rich, Tqdm):
            with suppress(ImportError):
                return kind()
    return Lines(config.get_terminal_writer())


class Progress:
    """Counts the tests of a run as they end, in one process and in the controller of several."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._display: Display | None = None
        self._total = self._done = self._failed = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = self._total or len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        self._total = len(ids)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dot for a test that passed: the display has counted it."""
        quiet = self._config.get_verbosity() <= 0
        return ("passed", "", "") if quiet and report.when == "call" and report.passed else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed += report.failed
        if report.when == "teardown":
            self._done += 1
            self._display = self._display or display(self._config)
            self._display.show(self._done, max(self._total, self._done), self._failed)

    def pytest_sessionfinish(self) -> None:
        if self._display:
            self._display.close()
