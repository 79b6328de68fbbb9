"""What the suite knows of a penalty beyond its oracle: configurations, where it is defined, and the laws it obeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from parity_tests.configs import Config
from parity_tests.oracles._loops import matching
from parity_tests.targets import LARGE, Target

Fits = Callable[[Config, Target], bool]


@dataclass(frozen=True)
class Laws:
    """Which laws hold for every array; ``test_laws.py`` and ``test_kinks.py`` try them.

    Attributes:
        degree: f(c x) = |c|^degree f(x) for every c; None where it is not homogeneous.
        convex: every gradient supports f, at a kink too.
        norm: the triangle inequality holds.
        signs: what may change sign without changing f: each "element", a whole "column" of a matrix, "all", or None.
        permutes: what may be put in another order: "rows and columns", "rows" (samples, outputs), or None.
        at_zero: f has the gradient 0 at the zero array.
        infinite: an infinite element makes the value +inf; False: not finite, but it may be NaN.
        nonnegative: it is never below 0.
        bounded: a single infinite element may leave the value finite, because f is bounded.
    """

    degree: float | None = None
    convex: bool = False
    norm: bool = False
    signs: Literal["element", "column", "all"] | None = None
    permutes: Literal["rows and columns", "rows"] | None = "rows and columns"
    at_zero: bool = True
    infinite: bool = False
    nonnegative: bool = True
    bounded: bool = False


@dataclass(frozen=True)
class Entry:
    """Configurations of one penalty that share where they are defined and what holds for them.

    Attributes:
        configs: the first one is the typical one.
        fits: whether a configuration is defined on a target.
        laws: what holds for all of them.
        extra: input classes beside the common ones.
        without: common input classes that say nothing of it, left out.
        smooth: it has no kink, so second derivatives are right everywhere.
    """

    configs: tuple[Config, ...]
    fits: Fits
    laws: Laws = field(default_factory=Laws)
    extra: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    smooth: bool = False

    @property
    def name(self) -> str:
        return self.configs[0].name


def anywhere(config: Config, target: Target) -> bool:
    """An elementwise penalty, or a norm of the whole array."""
    return target.name != f"{LARGE}-features"


def grouped(config: Config, target: Target) -> bool:
    """The axes that index the groups are there; a million groups of one are too slow as loops."""
    names = config.given.get("groups", "out")
    names = (names,) if isinstance(names, str) else names
    if target.is_large and (len(names) > 1 or "in" in names or "sample" in names):
        return False
    return all(name in target.axes or name in ("kernel", "position") for name in names) and all(
        matching(name, target.axes) for name in names
    )


def matrix(config: Config, target: Target) -> bool:
    """A kernel, without a mask; a Gram matrix of 250,000 columns is too slow as loops."""
    slow = target.is_large and config.given.get("side") in ("in", "both")
    return "out" in target.axes and len(target.axes) >= 2 and not target.masked and not slow


def activation(config: Config, target: Target) -> bool:
    """Any activation."""
    return target.is_activation
