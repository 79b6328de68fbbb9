"""One regularizer for each package from what the caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jaxreg
import torchreg
from torchreg._spec.errors import sentence

from .sides import Sides, both

_KINDS = {"torch": torchreg, "flax": jaxreg}


def regularizers_of(given: Any, patterns: Mapping[str, str]) -> Sides:
    """A regularizer of each package, or None for neither; of a config for both, the flax side's with its own names."""
    if given is None:
        return Sides(None, None)
    if isinstance(given, Mapping):
        unused = set(patterns)
        theirs = _renamed(given, patterns, unused)
        if unused:
            expected = "of patterns that the config has"
            raise LookupError(sentence("compare", "patterns", expected, sorted(unused)))
        given = Sides(given, theirs)
    elif patterns:
        expected = "empty unless one config is given for both sides"
        raise ValueError(sentence("compare", "patterns", expected, dict(patterns)))
    sides = both(given)
    return Sides(*(_regularizer(name, getattr(sides, name)) for name in Sides._fields))


def _regularizer(side: str, given: Any) -> Any:
    package: Any = _KINDS[side]
    if isinstance(given, package.Regularizer) or type(given).__module__ == package.Regularizer.__module__:
        return given
    if isinstance(given, Mapping):
        return package.Regularizer.from_dict(given)
    expected = f"a {package.__name__}.Regularizer or a config, or Sides of one for each side"
    raise TypeError(sentence("compare", f"the regularizer for {side}", expected, given))


def _renamed(value: Any, patterns: Mapping[str, str], unused: set[str], key: str = "") -> Any:
    """A config in which the patterns of targets are the flax side's."""
    if isinstance(value, Mapping):
        return {name: _renamed(item, patterns, unused, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, patterns, unused, key) for item in value]
    if key in ("pattern", "exclude", "type") and isinstance(value, str) and value in patterns:
        unused.discard(value)
        return patterns[value]
    return value
