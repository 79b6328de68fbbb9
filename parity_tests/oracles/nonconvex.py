"""Sums over elements that grow ever more slowly: nearer to counting than L1 is."""

from __future__ import annotations

from parity_tests.oracles._loops import Oracle

ORACLES: dict[str, Oracle] = {}
