"""The table of what is compared: penalty × target × dtype × input class, each in every mode, value and gradient.

The table is data; ``test_penalties.py`` runs it. Each cell declares its comparisons (two: value and gradient), and a
run in which fewer took place than the selected cells declare is a failed run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np

from parity_tests.backends import MODES, Problem
from parity_tests.configs import CONFIGS, Config
from parity_tests.inputs import CLASSES, mask, numbers
from parity_tests.oracles import Axes, Expected
from parity_tests.oracles._loops import matching
from parity_tests.precision import DTYPES

COMPARISONS = ("value", "gradient")


@dataclass(frozen=True)
class Target:
    """An array that a penalty is put on: canonical axes, a shape, and over how many leading axes a mask lies."""

    name: str
    axes: Axes
    shape: tuple[int, ...]
    masked: int = 0
    named: bool = True  # False: the call leaves the axes out and takes the default for the rank


@dataclass(frozen=True)
class Case:
    """One cell of the table, without its mode."""

    config: Config
    target: Target
    dtype: str
    input_class: str

    def __str__(self) -> str:
        return f"{self.config}-{self.target.name}-{DTYPES[self.dtype].short}-{self.input_class}"

    @property
    def seed(self) -> int:
        """Drawn from what the numbers are of, so every penalty and dtype meets the same ones."""
        return crc32(f"{self.target.name} {self.input_class}".encode())


LARGE = "large"  # n = 1e6

TARGETS: tuple[Target, ...] = (
    Target("scalar", (), (), named=False),
    Target("bias", ("out",), (7,), named=False),
    Target("tall", ("out", "in"), (6, 5), named=False),
    Target("wide", ("out", "in"), (4, 9)),
    Target("conv", ("out", "in", "k0", "k1"), (6, 5, 3, 2), named=False),
    Target("features", ("sample", "feature"), (5, 7)),
    Target("sequence", ("sample", "p0", "feature"), (4, 3, 5)),
    Target("image", ("sample", "p0", "p1", "feature"), (3, 2, 3, 4)),
    Target("features-masked", ("sample", "feature"), (5, 7), masked=1),
    Target("sequence-masked", ("sample", "p0", "feature"), (4, 3, 5), masked=2),
    Target("image-masked", ("sample", "p0", "p1", "feature"), (3, 2, 3, 4), masked=3),
    Target("tall-masked", ("out", "in"), (6, 5), masked=1),
    Target(LARGE, ("out", "in"), (4, 250_000)),
)

# A mask and a million elements change nothing about kinks or ranges, so they meet only these.
FEW_CLASSES = {"masked": ("normal", "ties", "wide"), LARGE: ("normal", "wide")}
TYPICAL = ("tall", "sequence")  # one parameter and one activation
# In the pr tier a narrow type meets the classes in which its own rounding and range can show.
NARROW_CLASSES = ("normal", "ties", "zero", "wide", "huge", "overflow")


def fits(config: Config, target: Target) -> bool:
    """Whether the penalty is defined on the target."""
    if target.name == LARGE and (
        config.given.get("side") in ("in", "both") or config.given.get("groups") == ("out", "in")
    ):
        return False  # a Gram matrix of 250,000 columns, a million groups of one: too slow as loops
    if config.name == "Orthogonal":
        return "out" in target.axes and len(target.axes) >= 2 and not target.masked
    if config.name == "GroupLasso":
        names = config.given.get("groups", "out")
        names = (names,) if isinstance(names, str) else names
        return all(name in target.axes or name in ("kernel", "position") for name in names) and all(
            matching(name, target.axes) for name in names
        )
    if config.name == "HoyerSquare" and "over" in config.given:
        return "sample" in target.axes
    return True


def classes(target: Target) -> Iterator[str]:
    """The input classes that a target meets."""
    few = FEW_CLASSES.get(LARGE if target.name == LARGE else "masked" if target.masked else "", CLASSES)
    for name in CLASSES:
        shape = CLASSES[name].reshape(target.shape)
        changes_nothing = target.shape == () and name in ("strided", "empty-first", "empty-last", "one")
        if name in few and not changes_nothing and not (name == "empty-last" and shape == (0,)):
            yield name


def in_pr_tier(case: Case, mode: str) -> bool:
    """Leaves to the full tier what a pull request can spare: what repeats another cell's code path in another dtype."""
    if case.target.name == LARGE:
        return case.dtype == "float32" and case.input_class == "normal"
    if mode == "jax-eager":  # the operations of jax-jit, dispatched one by one
        return case.dtype == "float32" and case.input_class in ("normal", "ties", "zero")
    if case.dtype in ("bfloat16", "float16"):
        return not case.target.masked and case.input_class in NARROW_CLASSES
    return case.dtype == "float32" or case.input_class not in ("empty-first", "empty-last", "one")


def table(tier: str) -> Iterator[tuple[Case, str]]:
    """Every (case, mode) of a tier."""
    for config in CONFIGS:
        for target in TARGETS:
            if not fits(config, target):
                continue
            for dtype in DTYPES:
                for name in classes(target):
                    case = Case(config, target, dtype, name)
                    yield from ((case, mode) for mode in MODES if tier == "full" or in_pr_tier(case, mode))


@lru_cache(maxsize=8)
def problem(case: Case) -> Problem:
    """The numbers of a case."""
    x = numbers(case.input_class, case.target.shape, case.dtype, case.seed)
    where = mask(x.shape[: case.target.masked], case.seed) if case.target.masked else None
    axes = case.target.axes if case.target.named else None
    return Problem(x, case.dtype, axes, where, CLASSES[case.input_class].strided)


@lru_cache(maxsize=8)
def expected(case: Case) -> Expected:
    """The oracle's answer to a case."""
    given = problem(case)
    with np.errstate(over="ignore", invalid="ignore"):
        return case.config.oracle(given.x, case.target.axes, given.where)
