"""Penalties of a matrix, from its singular values or eigenvalues."""

from __future__ import annotations

from parity_tests.oracles._loops import Oracle

ORACLES: dict[str, Oracle] = {}
