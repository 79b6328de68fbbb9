"""The table of what is compared: penalty × target × dtype × input class, each in every mode, value and gradient.

The table is data; ``test_penalties.py`` runs it. Each cell declares its comparisons (two: value and gradient), and a
run in which fewer took place than the selected cells declare is a failed run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from parity_tests.backends import FAST, MODES, Problem
from parity_tests.configs import Config
from parity_tests.families import CONFIGS, FAMILIES, entry_of, family_of, is_typical, targets
from parity_tests.inputs import CLASSES, SPECIAL, mask, numbers
from parity_tests.options import FULL, WHOLE, Shard
from parity_tests.oracles import Expected
from parity_tests.precision import DTYPES
from parity_tests.targets import LARGE, Target, kinds

COMPARISONS = ("value", "gradient")


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


# A mask and a million elements change nothing about kinks or ranges, so they meet only these.
FEW_CLASSES = {"masked": ("normal", "ties", "wide"), LARGE: ("normal", "wide")}
# In the pr tier a narrow type meets the classes in which its own rounding and range can show.
NARROW_CLASSES = ("normal", "ties", "huge", "overflow")
KINKS = ("normal", "ties", "zero")


def classes(config: Config, target: Target) -> Iterator[str]:
    """The input classes that a configuration meets on a target."""
    entry = entry_of(config)
    few = FEW_CLASSES.get(LARGE if target.is_large else "masked" if target.masked else "", tuple(CLASSES))
    for name in (*(name for name in few if name not in SPECIAL and name not in entry.without), *entry.extra):
        if target.is_large and name in entry.extra:
            continue
        shape = CLASSES[name].reshape(target.shape)
        changes_nothing = target.shape == () and name in ("strided", "empty-first", "empty-last", "one")
        if not changes_nothing and not (name == "empty-last" and shape == (0,)):
            yield name


@lru_cache(maxsize=1024)
def typical(config: Config) -> tuple[Target, ...]:
    """The first parameter, the first activation and the first masked array that a configuration is defined on."""
    return tuple(kind[0] for kind in kinds(targets(config)) if kind)


def shares_code(case: Case) -> bool:
    """Whether the array of a case has the shape and the memory order of most, so that nothing more is compiled."""
    kind = CLASSES[case.input_class]
    return not kind.strided and kind.reshape(case.target.shape) == case.target.shape


def tiered(config: Config, *rest: Any) -> Any:
    """Parameters of a test of every configuration, of which the pr tier runs the typical one of each entry."""
    return pytest.param(config, *rest, marks=() if is_typical(config) else FULL)


def in_full_tier(case: Case, mode: str) -> bool:
    """Every class and type for one mode of each framework; for the others no array or type that differs in nothing
    but what those have seen to, and of the arrays of a million elements one type: compiling them again is what costs,
    and of it most by inductor, a C++ program for each type, which has all types for one option of a penalty.
    """
    here, special = typical(case.config), case.input_class in entry_of(case.config).extra
    if case.target.is_large:
        one = case.dtype == "float32" and case.input_class == "normal" and is_typical(case.config)
        return one or (mode in FAST and (case.dtype == "float32" or case.input_class == "normal"))
    if mode in FAST:
        return case.target in here or case.dtype == "float32" or case.input_class in KINKS
    if mode == "torch-inductor" and case.dtype != "float32" and not is_typical(case.config):
        return False
    if case.target not in here:
        return mode != "torch-inductor" and case.dtype == "float32" and case.input_class in ("normal", "ties")
    return case.dtype == "float32" or (shares_code(case) and (special or case.input_class in (*KINKS, *NARROW_CLASSES)))


def in_pr_tier(case: Case, mode: str) -> bool:
    """Leaves to the full tier what a pull request can spare: what repeats another cell's code path in another dtype or,
    where it is compiled, in another shape.
    """
    first = is_typical(case.config)
    if case.target.is_large:  # in the others of a family the same sums are as long
        leads = case.config == FAMILIES[family_of(case.config.name)][0].configs[0]
        return leads and case.dtype == "float32" and case.input_class == "normal" and mode in FAST
    here, entry = typical(case.config), entry_of(case.config)
    if mode not in FAST:  # the operations of the two, arranged otherwise
        classes = {"jax-eager": KINKS, "jax-vmap": ("ties",), "torch-aot": ("ties",)}.get(mode, ())
        return first and case.target == here[0] and case.dtype == "float32" and case.input_class in classes
    special = case.input_class in entry.extra
    if not first:  # another option of a penalty that has met every class
        few = case.input_class in ("normal", "ties", "overflow") or special
        return few and case.dtype == "float32" and case.target in here
    if case.dtype == "float32":
        other = mode == "torch-eager" or all(case.target.axes != target.axes for target in here)
        return case.target in here or (other and case.input_class in ("normal", "ties"))
    if case.dtype == "float64":
        return case.target in here and (case.input_class in (*KINKS, "overflow") or special)
    few = here if mode == "torch-eager" else here[:1]
    return case.target in few and not case.target.masked and (case.input_class in NARROW_CLASSES or special)


def table(tier: str) -> Iterator[tuple[Case, str]]:
    """Every (case, mode) of a tier; the classes of one array in one mode together, as they share compiled code."""
    chosen = in_full_tier if tier == "full" else in_pr_tier
    for config in CONFIGS:
        for target in targets(config):
            for dtype in DTYPES:
                cases = [Case(config, target, dtype, name) for name in classes(config, target)]
                yield from ((case, mode) for mode in MODES for case in cases if chosen(case, mode))


def shared(case: Case, mode: str) -> str:
    """What a cell has in common with those that need the same compiled code; a shard has all of them or none."""
    return f"{case.config} {case.target.name} {mode}"


def selected(tier: str, dtypes: Collection[str] = tuple(DTYPES), part: Shard = WHOLE) -> list[tuple[Case, str]]:
    """The rows of the table in the types and the part of it that a run is of."""
    return [row for row in table(tier) if row[0].dtype in dtypes and part.holds(shared(*row))]


# Wide enough for the classes of one array, which each mode goes through again.
@lru_cache(maxsize=len(CLASSES))
def problem(case: Case) -> Problem:
    """The numbers of a case."""
    x = numbers(case.input_class, case.target.shape, case.dtype, case.seed)
    where = mask(x.shape[: case.target.masked], case.seed) if case.target.masked else None
    axes = case.target.axes if case.target.named else None
    return Problem(x, case.dtype, axes, where, CLASSES[case.input_class].strided)


@lru_cache(maxsize=len(CLASSES))
def expected(case: Case) -> Expected:
    """The oracle's answer to a case."""
    given = problem(case)
    with np.errstate(over="ignore", invalid="ignore"):
        return case.config.oracle(given.x, case.target.axes, given.where)
