"""What is drawn of every penalty: the arrays that two numbers stand for, and a line among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MATRIX, BATCH, TIMES = ("out", "in"), ("sample", "feature"), ("sample", "p0", "feature")


@dataclass(frozen=True)
class Picture:
    """A penalty, the arrays that two numbers stand for, and the line along which it is drawn.

    Attributes:
        make: the penalty, from ``torchreg`` or ``jaxreg``.
        axes: the axes of the arrays.
        array: (a, b) to an array; what it is, in words, is ``words``.
        line: t to (a, b).
        reach: the least and the greatest of a, b and t.
    """

    make: Callable[[Any], Any]
    axes: tuple[str, ...]
    array: Callable[[Any, Any], list[Any]]
    words: str
    line: Callable[[Array], tuple[Array, Array]] = lambda t: (t, 0.4 + 0 * t)
    line_words: str = "b = 0.4"
    reach: tuple[float, float] = (-2.0, 2.0)


def pair(make: Callable[[Any], Any]) -> Picture:
    """One row of two numbers, drawn through zero, where the kinks are."""
    return Picture(make, MATRIX, lambda a, b: [[a, b]], "one row (a, b)", lambda t: (t, 0 * t), "b = 0")


def ratio(make: Callable[[Any], Any]) -> Picture:
    """One row of two numbers, drawn off the axis, on which a ratio is constant."""
    return Picture(make, MATRIX, lambda a, b: [[a, b]], "one row (a, b)")


def diagonal(make: Callable[[Any], Any]) -> Picture:
    """A matrix whose singular values are |a| and |b|."""
    return Picture(make, MATRIX, lambda a, b: [[a, 0 * a], [0 * a, b]], "the matrix diag(a, b)")


def beside(make: Callable[[Any], Any]) -> Picture:
    """A row beside a fixed one."""
    return Picture(make, MATRIX, lambda a, b: [[1 + 0 * a, 0 * a], [a, b]], "rows (1, 0) and (a, b)")


def sample(make: Callable[[Any], Any]) -> Picture:
    """A third sample of two features beside two fixed ones."""
    fixed = [[1.0, -0.5], [-1.0, 0.5]]
    return Picture(
        make,
        BATCH,
        lambda a, b: [*([x + 0 * a, y + 0 * a] for x, y in fixed), [a, b]],
        "samples (1, −½), (−1, ½) and (a, b)",
    )


def times(make: Callable[[Any], Any]) -> Picture:
    """Three steps of one feature."""
    return Picture(make, TIMES, lambda a, b: [[[0 * a], [a], [b]]], "the steps 0, a, b", reach=(-2.0, 2.0))


def logits(make: Callable[[Any], Any]) -> Picture:
    """Three logits of two positions."""
    return Picture(make, BATCH, lambda a, b: [[a, b, 0 * a]], "the logits a, b, 0", reach=(-4.0, 4.0))


PICTURES: dict[str, dict[str, Picture]] = {
    "elementwise": {
        "L1": pair(lambda m: m.L1(1.0)),
        "L2": pair(lambda m: m.L2(1.0)),
        "ElasticNet": pair(lambda m: m.ElasticNet(0.7, 0.3)),
        "PseudoHuber": pair(lambda m: m.PseudoHuber(1.0, delta=0.5)),
        "Saturation": pair(lambda m: m.Saturation(1.0, limit=1.0)),
    },
    "nonconvex": {
        "Lp": pair(lambda m: m.Lp(1.0, p=0.5, eps=1e-3)),
        "LogSum": pair(lambda m: m.LogSum(1.0, eps=0.1)),
        "StudentT": pair(lambda m: m.StudentT(1.0, scale=0.3)),
        "TransformedL1": pair(lambda m: m.TransformedL1(1.0, a=0.5)),
        "TanhL1": pair(lambda m: m.TanhL1(1.0, scale=2.0)),
    },
    "norms": {
        "L2Norm": pair(lambda m: m.L2Norm(1.0)),
        "LinfNorm": pair(lambda m: m.LinfNorm(1.0)),
    },
    "groups": {
        "GroupLasso": Picture(
            lambda m: m.GroupLasso(1.0, groups="out"),
            MATRIX,
            lambda a, b: [[a, b], [0.5 + 0 * a, 0 * a]],
            "rows (a, b) and (½, 0), one group each",
            lambda t: (t, 0 * t),
            "b = 0",
        ),
        "SparseGroupLasso": pair(lambda m: m.SparseGroupLasso(1.0, groups="out", alpha=0.5)),
        "ExclusiveLasso": pair(lambda m: m.ExclusiveLasso(1.0, groups="out")),
        "GroupLinf": Picture(
            lambda m: m.GroupLinf(1.0, groups="in"),
            MATRIX,
            lambda a, b: [[a, b], [0.7 + 0 * a, 0 * a]],
            "columns (a, 0.7) and (b, 0), one group each",
        ),
    },
    "ratios": {
        "Hoyer": ratio(lambda m: m.Hoyer(1.0)),
        "HoyerSquare": ratio(lambda m: m.HoyerSquare(1.0)),
        "GroupHoyerSquare": Picture(
            lambda m: m.GroupHoyerSquare(1.0, groups="out"),
            MATRIX,
            lambda a, b: [[a, b], [1 + 0 * a, 0 * a]],
            "rows (a, b) and (1, 0), one group each",
        ),
    },
    "matrices": {
        "Orthogonal": replace(pair(lambda m: m.Orthogonal(1.0, side="out")), reach=(-1.4, 1.4)),
        "CosineOrthogonal": beside(lambda m: m.CosineOrthogonal(1.0)),
        "MutualCoherence": beside(lambda m: m.MutualCoherence(1.0, side="out")),
        "MaxNorm": pair(lambda m: m.MaxNorm(1.0, limit=1.0)),
    },
    "spectra": {
        "SpectralNorm": diagonal(lambda m: m.SpectralNorm(1.0, power=1)),
        "Nuclear": diagonal(lambda m: m.Nuclear(1.0)),
        "SpectralIsometry": diagonal(lambda m: m.SpectralIsometry(1.0)),
    },
    "statistics": {
        "Decorrelation": sample(lambda m: m.Decorrelation(1.0)),
        "VarianceHinge": sample(lambda m: m.VarianceHinge(1.0, target=1.5)),
        "Covariance": sample(lambda m: m.Covariance(1.0)),
        "KLSparsity": Picture(
            lambda m: m.KLSparsity(1.0, rho=0.2),
            BATCH,
            lambda a, b: [[a], [b]],
            "one feature, a and b in two samples",
            reach=(0.02, 0.98),
        ),
        "MeanActivation": sample(lambda m: m.MeanActivation(1.0, target=0.5)),
    },
    "sequences": {
        "TemporalL2": times(lambda m: m.TemporalL2(1.0)),
        "TotalVariation": times(lambda m: m.TotalVariation(1.0)),
    },
    "logits": {
        "NegativeEntropy": logits(lambda m: m.NegativeEntropy(1.0)),
        "RouterZ": logits(lambda m: m.RouterZ(1.0)),
        "LoadBalance": Picture(
            lambda m: m.LoadBalance(1.0),
            BATCH,
            lambda a, b: [[a, b, 0 * a], [1 + 0 * a, 0 * a, 0 * a]],
            "logits a, b, 0 and 1, 0, 0 of two positions",
            reach=(-4.0, 4.0),
        ),
    },
}
