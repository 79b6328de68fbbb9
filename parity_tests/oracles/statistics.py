"""Penalties of the statistics of activations over samples and positions."""

from __future__ import annotations

from parity_tests.oracles._loops import Oracle

ORACLES: dict[str, Oracle] = {}
