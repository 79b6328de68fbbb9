"""The suite's options, and the part of the suite that they select."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest

from parity_tests.devices import DEVICES
from parity_tests.precision import DTYPES

TIERS = ("pr", "full")
SHORT = {precision.short: name for name, precision in DTYPES.items()}


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts, from 1; what has the same key is in the same part, on every machine."""

    index: int = 1
    count: int = 1

    def holds(self, key: str) -> bool:
        return crc32(key.encode()) % self.count == self.index - 1


WHOLE = Shard()


def shard(text: str) -> Shard:
    """``2/8`` as a shard."""
    parts = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if parts is None or not 1 <= int(parts[1]) <= int(parts[2]):
        raise ValueError(f"--shard: it must be i/n with 1 <= i <= n; got {text!r}.")
    return Shard(int(parts[1]), int(parts[2]))


def add(parser: pytest.Parser) -> None:
    """Declare the options."""
    option = parser.getgroup("parity", "twinreg parity suite").addoption
    option(
        "--tier",
        choices=TIERS,
        default="pr",
        help="how much to run: pr (default) leaves the cells that only repeat others to full",
    )
    option(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="where the cells of the table run; a device that is absent is an error",
    )
    option(
        "--dtype",
        choices=tuple(SHORT),
        action="append",
        help="only the cells of the table in this type; may be given several times",
    )
    option("--shard", default="1/1", metavar="I/N", help="only the I-th of N parts, which together are the whole")
    option(
        "--resume",
        type=Path,
        metavar="PATH",
        help="a journal: what passes is added to it, and what it says has passed, of the same sources, does not run",
    )
    option(
        "--parity-ledger",
        type=Path,
        metavar="PATH",
        help="write every comparison with its error, its bound and their ratio as CSV",
    )
    option("--parity-report", type=Path, metavar="PATH", help="write a page that shows every comparison, as HTML")


FULL = pytest.mark.full_tier
"""The mark of a test, or of one of its parameters, that the default tier leaves to the full one."""


def tier(config: pytest.Config) -> str:
    """The tier of the run; where the suite's options came too late to be parsed, the default."""
    return str(config.getoption("--tier", default="pr"))


def device(config: pytest.Config) -> str:
    """The device of the run."""
    return str(config.getoption("--device", default="cpu"))


def dtypes(config: pytest.Config) -> tuple[str, ...]:
    """The types of the run."""
    chosen = config.getoption("--dtype", default=None) or tuple(SHORT)
    return tuple(name for short, name in SHORT.items() if short in chosen)


def part(config: pytest.Config) -> Shard:
    """The part of the suite that the run is of."""
    try:
        return shard(str(config.getoption("--shard", default="1/1")))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def path(config: pytest.Config, option: str) -> Path | None:
    """An option that names a file, or None."""
    return config.getoption(option, default=None)
