"""The suite can fail: every seeded bug is killed in both frameworks, and the same formulas without a bug pass."""

from __future__ import annotations

import pytest

from parity_tests.backends import FAST, MODES, require
from parity_tests.cases import Case
from parity_tests.comparer import Comparer, Mismatch
from parity_tests.harness import check
from parity_tests.seeded import BUGS, RIGHT, Posing, Seed
from parity_tests.targets import TARGETS

CLASSES = ("normal", "ties", "zero")


def verdict(seed: Seed, mode: str, dtype: str) -> list[str]:
    """The cells in which the comparison finds the seed wrong."""
    require(MODES[mode].framework)
    target = next(target for target in TARGETS if target.name == seed.target)
    build, killed_by = Posing(seed.formula), []
    for name in CLASSES:
        case = Case(seed.config, target, dtype, name)
        try:
            check(case, mode, Comparer(lambda row: None), build)
        except Mismatch:
            killed_by.append(str(case))
    return killed_by


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", FAST)
@pytest.mark.parametrize("seed", BUGS, ids=lambda seed: seed.name)
def test_a_seeded_bug_is_killed(seed: Seed, mode: str, dtype: str) -> None:
    """At least one of three cells of the table fails."""
    assert verdict(seed, mode, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", FAST)
@pytest.mark.parametrize("seed", RIGHT, ids=lambda seed: seed.name)
def test_the_same_formula_without_a_bug_passes(seed: Seed, mode: str, dtype: str) -> None:
    """None of the cells fails."""
    assert not verdict(seed, mode, dtype)
