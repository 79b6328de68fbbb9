"""Independent float64 oracles: one function per penalty, NumPy and ``math.fsum`` alone.

An oracle imports neither framework and no part of the packages under test. It returns the value, the gradient (the
minimum-norm subgradient at a kink) and, for the bounds, the same two with every term of their sums replaced by its
absolute value: that is what a rounding error is in proportion to.
"""

from __future__ import annotations

from parity_tests.oracles import (
    elementwise,
    groups,
    logits,
    matrices,
    nonconvex,
    norms,
    ratios,
    sequences,
    spectra,
    statistics,
)
from parity_tests.oracles._loops import Axes, Expected, Mask, Oracle

ORACLES: dict[str, Oracle] = {
    **elementwise.ORACLES,
    **nonconvex.ORACLES,
    **norms.ORACLES,
    **groups.ORACLES,
    **ratios.ORACLES,
    **matrices.ORACLES,
    **spectra.ORACLES,
    **statistics.ORACLES,
    **sequences.ORACLES,
    **logits.ORACLES,
}

__all__ = ["ORACLES", "Axes", "Expected", "Mask", "Oracle"]
