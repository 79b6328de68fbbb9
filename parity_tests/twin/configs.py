"""One regularizer for each package from what the caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jaxreg
import torchreg
from torchreg._spec.errors import sentence

from .sides import Sides, both

_KINDS = {"torch": torchreg, "flax": jaxreg}


def regularizers_of(given: Any) -> Sides:
    """A regularizer of each package, or None for neither."""
    if given is None:
        return Sides(None, None)
    sides = both(given)
    return Sides(*(_regularizer(name, getattr(sides, name)) for name in Sides._fields))


def _regularizer(side: str, given: Any) -> Any:
    package: Any = _KINDS[side]
    if isinstance(given, package.Regularizer) or type(given).__name__ == "BoundRegularizer":
        return given
    if isinstance(given, Mapping):
        return package.Regularizer.from_dict(given)
    kinds = "torchreg.Regularizer and jaxreg.Regularizer"
    raise TypeError(sentence("compare", "regularizer", f"Sides of a {kinds}, a config, or Sides of configs", given))
