"""The computation of schedules, which is optax's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optax

Curve = Callable[[Any], Any]


def build(name: str, given: dict[str, Any]) -> Curve:
    """The function from step to factor."""
    return getattr(optax, name)(**given)
