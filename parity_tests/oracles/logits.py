"""Penalties of logits, through a softmax."""

from __future__ import annotations

from parity_tests.oracles._loops import Oracle

ORACLES: dict[str, Oracle] = {}
