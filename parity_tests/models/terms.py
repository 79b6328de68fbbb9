"""The terms of the regularizer: how each package is told, and what it must come to, by the oracles.

A package finds its arrays by pattern and role; the oracle is told their names, so a selection that is wrong shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import numpy as np

from parity_tests.configs import Config
from parity_tests.families import family_of
from parity_tests.oracles import Axes
from parity_tests.precision import Array

Arrays = dict[str, Array]
PARAMETER_AXES: Axes = ("out", "in", "k0", "k1")
STEP = 4


def half(step: Any) -> Any:
    """A schedule."""
    return 0.5 * step


@dataclass(frozen=True)
class TermSpec:
    """One term: the penalty, what it is put on in the words of the packages, the canonical names that this means."""

    name: str
    config: Config
    on: Literal["params", "activations"]
    pattern: str | tuple[str, ...]
    means: tuple[str, ...]
    options: tuple[tuple[str, Any], ...] = ()
    laid_out: bool = False  # whether the axes of the activation are nobody's to know, and are given
    weight: float = 1.0
    schedule: Callable[[Any], Any] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The options by name."""
        return dict(self.options)

    def build(self, package: ModuleType, layout: tuple[Any, ...]) -> Any:
        """The term in a package; ``layout`` is how its framework orders the axes of an image."""
        more = {"layout": layout} if self.laid_out else {}
        target = getattr(package, self.on)(self.pattern, **self.given, **more)
        return self.config.build(package).on(target, name=self.name, schedule=self.schedule)


@dataclass
class Measured:
    """What a term comes to: its value and the gradients that it adds, by canonical name."""

    layers: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    outputs: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, Array] = field(default_factory=dict)


def additive(config: Config) -> bool:
    """Whether the penalty of an activation is a sum over samples."""
    groups = config.given.get("groups", ())
    sums = family_of(config.name) in ("elementwise", "nonconvex", "sequences")
    vectors = config.name in ("NegativeEntropy", "RouterZ")
    return sums or vectors or "sample" in ((groups,) if isinstance(groups, str) else groups)


def divisor(config: Config, per: str, shape: tuple[int, ...], where: np.ndarray | None) -> float:
    """What an additive penalty of an activation is divided by: what the mask lets count, and at least 1."""
    where = np.ones(shape[:1], dtype=bool) if where is None else where
    counts = np.broadcast_to(where.reshape(where.shape + (1,) * (len(shape) - where.ndim)), shape)
    if family_of(config.name) == "sequences" and per in ("position", "element"):
        axes = range(1, len(shape) - 1) if config.name == "TotalVariation" else (1,)
        vectors = sum(neighbours(counts[..., 0], axis) for axis in axes)
        return max(float(vectors * (shape[-1] if per == "element" else 1)), 1.0)
    positions = np.asarray(counts.any(-1))
    number = {
        "batch": 1,
        "example": positions.reshape(len(positions), -1).any(1).sum(),
        "position": positions.sum(),
        "element": counts.sum(),
    }[per]
    return max(float(number), 1.0)


def neighbours(counts: np.ndarray, axis: int) -> int:
    """How many neighbours along an axis both count."""
    pairs = 0
    for index in np.ndindex(counts.shape):
        after = (*index[:axis], index[axis] + 1, *index[axis + 1 :])
        pairs += after[axis] < counts.shape[axis] and bool(counts[index] and counts[after])
    return pairs


def measure(
    term: TermSpec,
    weights: Arrays,
    outputs: Arrays,
    inputs: Arrays,
    masks: dict[str, np.ndarray],
) -> Measured:
    """The term on its arrays."""
    factor = term.weight * (term.schedule(STEP) if term.schedule else 1.0)
    result = Measured()
    if term.on == "params" and term.given.get("joint"):
        joined = np.concatenate([weights[name].ravel() for name in term.means])
        due = term.config.oracle(joined, ("out",))
        result.layers["joint"] = factor * due.value
        ends = np.cumsum([weights[name].size for name in term.means])[:-1]
        for name, part in zip(term.means, np.split(factor * due.gradient, ends), strict=True):
            result.weights[name] = part.reshape(weights[name].shape)
        return result
    for name in term.means:
        if term.on == "params":
            due = term.config.oracle(weights[name], PARAMETER_AXES[: weights[name].ndim])
            result.layers[name], result.weights[name] = factor * due.value, factor * due.gradient
            continue
        into_input = term.given.get("of") == "input"
        x = (inputs if into_input else outputs)[name]
        where = masks[term.given["mask"]] if "mask" in term.given else None
        due = term.config.oracle(x, ("sample", *(f"p{i}" for i in range(x.ndim - 2)), "feature"), where)
        per = term.given.get("per", "example")
        share = factor / divisor(term.config, per, x.shape, where) if additive(term.config) else factor
        result.layers[name] = share * due.value
        (result.inputs if into_input else result.outputs)[name] = share * due.gradient
    return result


def spec(name: str, penalty: Config, on: Any, pattern: str | tuple[str, ...], *means: str, **options: Any) -> TermSpec:
    """A term in one line; options of the term itself are taken out of those of its target."""
    own = {key: options.pop(key) for key in ("laid_out", "weight", "schedule") if key in options}
    return TermSpec(name, penalty, on, pattern, means, tuple(options.items()), **own)
