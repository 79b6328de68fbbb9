"""The table of capture cases in ``docs/capture.md``, made from the tests that prove its cells.

A test says with :func:`covers` which case it proves in which world, and whether the outcome is the right number or an
error. ``python -m parity_tests.capture_table`` prints the table; a test holds the page to it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeVar

import parity_tests

WORLDS = ("torch", "linen", "nnx")
PLACES = {"torch": "torch_only", "jax": "jax_only"}

Test = TypeVar("Test", bound=Callable[..., object])
_ATTRIBUTE = "covered_captures"

ELSEWHERE: dict[str, dict[str, str]] = {}
"""Case to world to why the case does not exist there."""


def covers(case: str, world: str, outcome: str = "right") -> Callable[[Test], Test]:
    """Marks a test as the proof of a cell: ``outcome`` is "right" or names the error and its way out."""
    if world not in WORLDS:
        raise ValueError(f"covers: world must be one of {WORLDS}; got {world!r}.")

    def mark(test: Test) -> Test:
        setattr(test, _ATTRIBUTE, (*getattr(test, _ATTRIBUTE, ()), (case, world, outcome)))
        return test

    return mark


def cells() -> dict[str, dict[str, str]]:
    """Case to world to outcome, from every test of ``torch_only`` and ``jax_only``, in the order of the files."""
    found: dict[str, dict[str, str]] = {}
    for place in PLACES.values():
        package = importlib.import_module(f"{parity_tests.__name__}.{place}")
        for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
            if name.startswith("test_"):
                module = importlib.import_module(f"{package.__name__}.{name}")
                for test in vars(module).values():
                    for case, world, outcome in getattr(test, _ATTRIBUTE, ()):
                        found.setdefault(case, {}).setdefault(world, outcome)
    for case, worlds in ELSEWHERE.items():
        for world, reason in worlds.items():
            found.setdefault(case, {}).setdefault(world, f"– ({reason})")
    return found


def table() -> str:
    """The table as Markdown; an empty cell stays visible as a question mark."""
    lines = ["| case | torch | linen | nnx |", "| --- | --- | --- | --- |"]
    lines += [f"| {case} | " + " | ".join(row.get(w, "?") for w in WORLDS) + " |" for case, row in cells().items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
