"""Penalties of the differences between neighbouring positions."""

from __future__ import annotations

from parity_tests.oracles._loops import Oracle

ORACLES: dict[str, Oracle] = {}
