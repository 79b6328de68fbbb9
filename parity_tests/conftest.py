"""Fixtures of the suite; the options and the count of comparisons are in ``plugin.py``."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from parity_tests.backends import release, require
from parity_tests.comparer import Comparer
from parity_tests.details import DETAILS, PROPERTY, Keep, Seen
from parity_tests.ledger import as_property
from parity_tests.options import tier

pytest_plugins = ("parity_tests.plugin", "pytester")

# Derandomized and without a database: the same examples on every machine, and nothing written beside the user's code.
_COMMON = {"derandomize": True, "database": None, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("pr", max_examples=200, **_COMMON)
settings.register_profile("full", max_examples=10_000, **_COMMON)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples a law is tried on."""
    settings.load_profile(tier(config))


@pytest.fixture(scope="module", autouse=True)
def released() -> Iterator[None]:
    """Every file gives its memory back."""
    yield
    release()


@pytest.fixture
def comparer(request: pytest.FixtureRequest) -> Comparer:
    """Compares with an oracle; every comparison is counted and goes into the ledger."""
    return Comparer(lambda row: request.node.user_properties.append(as_property(row)))


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Keep:
    """Takes a cell that was run; where a report is asked for, the worst cells go into it."""
    details = request.config.stash.get(DETAILS, None)

    def kept(seen: Seen) -> None:
        if details and (detail := details.keep(seen)):
            request.node.user_properties.append((PROPERTY, detail))

    return kept


@pytest.fixture
def float64_jax() -> Iterator[ModuleType]:
    """JAX with float64 for the length of a test."""
    require("jax")
    import jax

    with jax.enable_x64(True):
        yield jax
