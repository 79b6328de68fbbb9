"""What has passed before: a file to which every test with comparisons is added as it passes.

A line is of use only to a run of the same sources, with the same versions, on the same device: each carries a hash of
them. A line that a killed run left unfinished is passed over.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import astuple
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from parity_tests.comparer import Row

DISTRIBUTIONS = ("numpy", "torch", "jax", "jaxlib", "flax", "optax")
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("torchreg", "jaxreg", "parity_tests")


def versions() -> dict[str, str]:
    """What the run stands on: Python, the machine and the libraries that are installed."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def fingerprint(device: str, root: Path = ROOT) -> str:
    """A hash of versions, device and every source of the packages and of the suite."""
    digest = sha256(json.dumps([versions(), device], sort_keys=True).encode())
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cell_id(nodeid: str) -> str:
    """A test's name without the directory that the suite was found in."""
    file, colons, name = nodeid.partition("::")
    return f"{file.rsplit('/', 1)[-1]}{colons}{name}"


class Journal:
    """A journal for one run: what earlier ones have done, read once, and what this one adds.

    ``size`` is how much of the file is read. The workers of a run must all select the same tests, also one that takes
    the place of another in the middle of the run, so they read what was there when the run began.
    """

    def __init__(self, path: Path, fingerprint: str, size: int | None = None) -> None:
        self.path, self.fingerprint = path, fingerprint
        written = path.read_bytes() if path.exists() else b""
        self.size = len(written) if size is None else size
        self.done = dict(_passed(written[: self.size], fingerprint))

    def add(self, nodeid: str, rows: list[Row]) -> None:
        """A test has passed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"of": self.fingerprint, "id": cell_id(nodeid), "rows": [astuple(row) for row in rows]}
        with self.path.open("ab") as file:
            # A line of its own also after one that was cut short.
            torn = file.tell() and not self._ends_in_newline()
            file.write(b"\n" * bool(torn) + json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def _ends_in_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            return file.read() == b"\n"


def _passed(written: bytes, fingerprint: str) -> Iterator[tuple[str, list[Row]]]:
    for line in written.splitlines():
        try:
            entry = json.loads(line)
            if entry["of"] == fingerprint:
                yield str(entry["id"]), [Row(*row) for row in entry["rows"]]
        except (ValueError, TypeError, KeyError):
            continue
