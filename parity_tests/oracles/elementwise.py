"""Sums over elements: L1, L2, elastic net."""

from __future__ import annotations

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Mask, Oracle, counted, sign, total


def l1(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σ|x|. Subgradient λ sign(x), 0 at 0."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms.append(strength * abs(xi))
        gradient[i] = strength * sign(xi)
    return Expected(total(terms), gradient, total(terms), np.abs(gradient))


def l2(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σx², without a half. Gradient 2λx."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms.append(strength * xi * xi)
        gradient[i] = 2 * strength * xi
    return Expected(total(terms), gradient, total(terms), np.abs(gradient))


def elastic_net(x: Array, axes: Axes, where: Mask, /, *, l1: float, l2: float) -> Expected:
    """l1 Σ|x| + l2 Σx². The two parts of the gradient, l1 sign(x) and 2 l2 x, always have the same sign."""
    terms, gradient = [], np.zeros(x.shape)
    for i, xi in counted(x, where):
        terms += [l1 * abs(xi), l2 * xi * xi]
        gradient[i] = l1 * sign(xi) + 2 * l2 * xi
    return Expected(total(terms), gradient, total(terms), np.abs(gradient), terms_per_element=2)


ORACLES: dict[str, Oracle] = {"L1": l1, "L2": l2, "ElasticNet": elastic_net}
