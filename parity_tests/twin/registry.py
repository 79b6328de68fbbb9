"""The table of porting rules: which layers of the two frameworks are the same thing, and how weights travel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchreg._spec.errors import sentence

from .entries import Entry

Function = Callable[[Any, Any], Iterable[Entry]]
Adapt = Callable[[Any, Any, np.ndarray], np.ndarray]
Kind = type | str


@dataclass(frozen=True)
class Rule:
    """How a torch layer becomes a flax layer; ``adapt`` brings what the torch layer takes and gives into flax axes."""

    torch: Kind
    flax: Kind
    function: Function
    adapt: Adapt | None


_RULES: dict[tuple[Kind, Kind], Rule] = {}


def rule(torch_type: Kind, flax_type: Kind, *, adapt: Adapt | None = None) -> Callable[[Function], Function]:
    """Adds a porting rule; a later rule for the same two types replaces an earlier one.

    The function takes the two layers (a torch module; a linen module or an nnx module) and yields where each parameter
    goes, with ``moved``, ``added``, ``zero``, ``unused`` and ``setting``. A rule for a container covers all inside it.

    Args:
        torch_type: the class, or the name of a class that should not be imported for this.
        flax_type: the class, linen or nnx, or its name.
        adapt: called with both layers and an array that the torch layer takes or gives, it returns it with the axes in
            flax's order; for convolutions, say. By default the axes are the same.
    """
    for argument, kind in (("torch_type", torch_type), ("flax_type", flax_type)):
        if not isinstance(kind, type | str):
            raise TypeError(sentence("rule", argument, "a class or a class name", kind))

    def add(function: Function) -> Function:
        _RULES[torch_type, flax_type] = Rule(torch_type, flax_type, function, adapt)
        return function

    return add


def _distance(kind: Kind, candidate: type) -> int | None:
    """How many steps up the method resolution order a class is of a kind; None where it is not."""
    for steps, base in enumerate(candidate.__mro__):
        if base is kind or base.__name__ == kind:
            return steps
    return None


def rule_for(torch_type: type, flax_type: type) -> Rule | None:
    """The nearest rule for two classes."""
    found: list[tuple[int, int, Rule]] = []
    for number, entry in enumerate(_RULES.values()):
        ours, theirs = _distance(entry.torch, torch_type), _distance(entry.flax, flax_type)
        if ours is not None and theirs is not None:
            found.append((ours + theirs, -number, entry))
    return min(found, key=lambda item: item[:2])[2] if found else None


def groups(torch_types: Iterable[type], flax_types: Iterable[type]) -> tuple[Mapping[type, int], Mapping[type, int]]:
    """The types that have a twin on the other side, by the number of their group.

    Types are of one group where a chain of rules joins them: ``Linear`` and Hugging Face's ``Conv1D`` both with
    ``Dense``, so that the layers of a group are counted together.
    """
    ours: dict[type, int] = {}
    theirs: dict[type, int] = {}
    left, right = dict.fromkeys(torch_types), dict.fromkeys(flax_types)
    pairs = [(a, b) for a in left for b in right if rule_for(a, b)]
    for number, (a, b) in enumerate(pairs):
        known = {group for group in (ours.get(a), theirs.get(b)) if group is not None}
        for table in (ours, theirs):
            for kind, group in table.items():
                if group in known:
                    table[kind] = number
        ours[a], theirs[b] = number, number
    return ours, theirs
