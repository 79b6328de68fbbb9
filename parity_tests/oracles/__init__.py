"""Independent float64 oracles: one function per penalty, NumPy and ``math.fsum`` alone.

An oracle imports neither framework and no part of the packages under test. It returns the value, the gradient (the
minimum-norm subgradient at a kink) and, for the bounds, the same two with every term of their sums replaced by its
absolute value: that is what a rounding error is in proportion to.
"""

from __future__ import annotations

from parity_tests.oracles._loops import Axes, Expected, Mask, Oracle
from parity_tests.oracles.elementwise import elastic_net, l1, l2
from parity_tests.oracles.groups import group_lasso, l2_norm
from parity_tests.oracles.matrices import orthogonal
from parity_tests.oracles.ratios import hoyer_square

FAMILIES: dict[str, dict[str, Oracle]] = {
    "elementwise": {"L1": l1, "L2": l2, "ElasticNet": elastic_net},
    "ratios": {"HoyerSquare": hoyer_square},
    "groups": {"L2Norm": l2_norm, "GroupLasso": group_lasso},
    "matrices": {"Orthogonal": orthogonal},
}

ORACLES: dict[str, Oracle] = {name: oracle for family in FAMILIES.values() for name, oracle in family.items()}


def family_of(penalty: str) -> str:
    """The family whose file holds the oracle of ``penalty``."""
    return next(family for family, members in FAMILIES.items() if penalty in members)


__all__ = ["FAMILIES", "ORACLES", "Axes", "Expected", "Mask", "Oracle", "family_of"]
