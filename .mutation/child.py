"""A mutant put into the clone and its tests run on it, in a forked process with a limit of time."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from mutants import Mutant


@dataclass(frozen=True)
class Verdict:
    """Killed by a test, killed by what it did to the run (``crashed``), out of time, or survived."""

    status: str
    killer: str
    seconds: float


class Clone:
    """The working copy; a mutated source gets a time of its own, or a stale .pyc would be taken for it."""

    def __init__(self, root: Path, package: str) -> None:
        self.root, self._package, self._times = root, package, count(1_600_000_000)

    @contextmanager
    def holding(self, mutant: Mutant | None) -> Iterator[None]:
        """The clone with one source mutated."""
        if mutant is None:
            yield
            return
        path = self.root / self._package / mutant.source
        stat, text = path.stat(), path.read_text(encoding="utf-8")
        try:
            path.write_text(mutant.text, encoding="utf-8")
            moment = next(self._times)
            os.utime(path, (moment, moment))
            yield
        finally:
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def judged(
    clone: Clone,
    session: pytest.Session,
    mutant: Mutant | None,
    items: list[pytest.Item],
    cold: list[str],
    limit: float,
) -> Verdict:
    """Run tests on a mutant, or on the package as it is, until the first fails."""
    start = time.monotonic()
    with clone.holding(mutant):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            os.setsid()
            _child(session, items, cold, writer, verbose=mutant is None)
        os.close(writer)
        watched = os.pidfd_open(child)
        late = not select.select([watched], [], [], limit)[0]
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # the child, if it is late, and whatever it has started
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(watched)
        with os.fdopen(reader, encoding="utf-8") as pipe:
            killer = pipe.read()
    status = "timeout" if late else {0: "survived", 1: "killed"}.get(code, "crashed")
    return Verdict(status, killer, round(time.monotonic() - start, 2))


def _child(session: pytest.Session, items: list[pytest.Item], cold: list[str], writer: int, verbose: bool) -> None:
    """Run the tests, and end with 0 where all passed; the first that failed is written to the pipe."""
    code = 70
    try:
        sys.dont_write_bytecode = not verbose  # what is compiled of the unmutated clone serves the mutants
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        failed = _Failed(writer)
        session.config.pluginmanager.register(failed)
        for item, following in zip(items, [*items[1:], None], strict=False):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if failed.seen:
                os._exit(1)
        code = 0
        if cold:
            code = pytest.main(
                ["-q", "-x", "-p", "no:cacheprovider", *(f"parity_tests/{name}" for name in cold)], plugins=[failed]
            )
            code = min(code, 1)
    finally:
        os._exit(code)


class _Failed:
    """Notes the first test or collection that fails."""

    def __init__(self, writer: int) -> None:
        self._writer, self.seen = writer, False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.seen:
            self.seen = True
            os.write(self._writer, report.nodeid.encode())
