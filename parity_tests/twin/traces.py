"""What a side tells of a model: its layers, and what they took and gave in one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Layer:
    """A module that may have a twin.

    Attributes:
        name: its dotted name; ``""`` is the root.
        module: what porting rules see.
        kind: the class that rules are looked up by.
        label: added to the name where one module is several layers (those of a recurrent torch module).
        leaves: the names inside the module of the arrays that are this layer's, where it does not own all.
    """

    name: str
    module: Any
    kind: type
    label: str = ""
    leaves: Callable[[str], bool] = field(default=lambda leaf: True)

    @property
    def title(self) -> str:
        return f"{self.name or '(root)'}{self.label}"

    def owns(self, name: str) -> bool:
        """Whether an array of the model belongs to this layer."""
        prefix = f"{self.name}." if self.name else ""
        return name.startswith(prefix) and self.leaves(name[len(prefix) :])

    def leaf(self, name: str) -> str:
        """The name of one of its arrays inside the layer."""
        return name[len(self.name) + 1 :] if self.name else name


@dataclass(frozen=True)
class Call:
    """One call of a module: its first array in, its first floating array out; None where a transform hides them."""

    given: np.ndarray | None
    made: np.ndarray | None


@dataclass
class Trace:
    """One pass: the calls of each module by name, names in the order of the first call, and what the model returned.

    Attributes:
        calls: module name to its calls.
        outputs: the floating arrays of what the model returned.
        modules: module name to module, of all that the pass has met.
        standing_for: name of a recurrent cell to the name of the module that runs it over time.
    """

    calls: dict[str, list[Call]] = field(default_factory=dict)
    outputs: list[np.ndarray] = field(default_factory=list)
    modules: dict[str, Any] = field(default_factory=dict)
    standing_for: dict[str, str] = field(default_factory=dict)

    def order(self, name: str) -> int:
        """When a module, or the first one inside it, was called; those never called come last."""
        for number, called in enumerate(self.calls):
            if called == name or called.startswith(f"{name}.") or not name:
                return number
        return len(self.calls)


@dataclass(frozen=True)
class Pass:
    """One pass with its penalties (by term, and by term and path) and gradients."""

    loss: float
    total: float
    terms: dict[str, float]
    layers: dict[str, dict[str, float]]
    gradients: dict[str, np.ndarray]


def numbers(penalties: Any) -> tuple[float, dict[str, float], dict[str, dict[str, float]]]:
    """Total, terms and paths of what a regularizer gave, as Python numbers; of nothing, zeros."""
    if penalties is None:
        return 0.0, {}, {}
    layers = {name: _numbers(found) for name, found in penalties.layers.items()}
    return float(penalties.total.item()), _numbers(penalties.terms), layers


def _numbers(found: Any) -> dict[str, float]:
    return {name: float(value.item()) for name, value in found.items()}
