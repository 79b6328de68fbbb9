"""Sums over groups of elements."""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, euclidean, grouped, sign, total
from parity_tests.oracles.norms import largest

Names = str | tuple[str, ...]


def listed(groups: Names) -> tuple[str, ...]:
    """One name or several, as several."""
    return (groups,) if isinstance(groups, str) else groups


def group_lasso(
    x: Array,
    axes: Axes,
    where: Mask,
    /,
    *,
    strength: float,
    groups: Names = "out",
    size_weighted: bool = True,
) -> Expected:
    """λ Σ_g √n_g ‖x_g‖₂, n_g the number of elements of the group that count (√n_g is left out without size_weighted).

    Gradient λ √n_g x/‖x_g‖₂, and 0 throughout a group that is zero.
    """
    terms, gradient = [], np.zeros(x.shape)
    for entries in grouped(x, axes, where, listed(groups)).values():
        weight = strength * (math.sqrt(len(entries)) if size_weighted else 1.0)
        norm = euclidean(xi for _, xi in entries)
        terms.append(weight * norm)
        for i, xi in entries:
            gradient[i] = weight * xi / norm if norm != 0 else 0.0
    return Expected(total(terms), gradient, total(terms), np.abs(gradient))


# Note [Sparse groups]
# Roundings in λ ((1−α) Σ_g √n_g ‖x_g‖₂ + α Σ|x|), in units u, on its longer way, which is that through the groups:
#   value      ½ of the squares under the root and 1 of the root (their sum has ½ log₂ n_g more, which with the sum over
#              groups is no more than the log₂ of the number of terms), 2 of √n_g and its product, 2 of 1−α and its
#              product, 1 where the parts meet, 2 of λ and its product: 8½.
#   gradient   (1−α) √n_g x/‖x_g‖ + α sign(x): the same 1½ of the norm, 1 of the quotient, 1 of the product with x, then
#              2 + 2 + 1 + 2 as above: 10½. Both parts have the sign of x, so they do not cancel.


def sparse_group_lasso(
    x: Array,
    axes: Axes,
    where: Mask,
    /,
    *,
    strength: float,
    groups: Names = "out",
    alpha: float = 0.5,
    size_weighted: bool = True,
) -> Expected:
    """λ ((1−α) Σ_g √n_g ‖x_g‖₂ + α Σ|x|), n_g as for the group lasso.

    Gradient λ ((1−α) √n_g x/‖x_g‖₂ + α sign(x)). Where x is 0 in a group that is not, the first part is 0 and the
    second any number of [−λα, λα], shortest 0; in a group that is zero both parts have 0 among their subgradients.
    """
    terms, gradient = [], np.zeros(x.shape)
    for entries in grouped(x, axes, where, listed(groups)).values():
        weight = strength * (1 - alpha) * (math.sqrt(len(entries)) if size_weighted else 1.0)
        norm = euclidean(xi for _, xi in entries)
        terms.append(weight * norm)
        for i, xi in entries:
            terms.append(strength * alpha * abs(xi))
            gradient[i] = (weight * xi / norm if norm != 0 else 0.0) + strength * alpha * sign(xi)
    return Expected(
        total(terms),
        gradient,
        total(terms),
        np.abs(gradient),
        terms_per_element=2,
        roundings=8.5,
        gradient_roundings=10.5,
    )


# Note [Exclusive lasso]
# With a_g = Σ|x| over a group of n_g elements, a sum of log₂ n_g roundings, the square has them twice, 2 log₂ n_g + 1;
# the sum over groups adds log₂ of their number and λ 2 (a half of it is exact): (3 + log₂ n_g + log₂ n) u S for n
# elements. An element of the gradient is λ a_g sign(x): log₂ n_g + 2, within the plain 3 + log₂ n.


def exclusive_lasso(x: Array, axes: Axes, where: Mask, /, *, strength: float, groups: Names = "out") -> Expected:
    """λ/2 Σ_g (Σ|x_g|)². Gradient λ (Σ|x_g|) sign(x), shortest 0 where x is 0."""
    terms, gradient, most = [], np.zeros(x.shape), 1
    for entries in grouped(x, axes, where, listed(groups)).values():
        size = total(abs(xi) for _, xi in entries)
        terms.append(strength / 2 * size * size)
        most = max(most, len(entries))
        for i, xi in entries:
            gradient[i] = strength * size * sign(xi)
    return Expected(total(terms), gradient, total(terms), np.abs(gradient), roundings=3 + math.log2(most))


def group_linf(x: Array, axes: Axes, where: Mask, /, *, strength: float, groups: Names = "out") -> Expected:
    """λ Σ_g max|x_g|. Gradient λ sign(x)/k at the k elements of a group that tie for its largest, 0 at all others."""
    terms, gradient = [], np.zeros(x.shape)
    for entries in grouped(x, axes, where, listed(groups)).values():
        top = largest(xi for _, xi in entries)
        ties = sum(1 for _, xi in entries if abs(xi) == top)
        terms.append(strength * top)
        for i, xi in entries:
            gradient[i] = strength * sign(xi) / ties if abs(xi) == top else 0.0
    return Expected(total(terms), gradient, total(terms), np.abs(gradient))


ORACLES: dict[str, Oracle] = {
    "GroupLasso": group_lasso,
    "SparseGroupLasso": sparse_group_lasso,
    "ExclusiveLasso": exclusive_lasso,
    "GroupLinf": group_linf,
}
