"""Penalties of the differences between neighbouring positions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Index, Mask, Oracle, counted, matching, sign, total

# Note [Differences]
# The two numbers of a difference are exact, so it has one rounding. Its square counts that twice, and has its own and
# that of the strength: 4. In a gradient the difference, the strength, the product with what comes from above and the
# sum of up to two differences for each axis: 4, and one more for each further axis, which log₂ n covers. The sign of a
# difference is exact, since numbers that differ have a difference other than 0: there the strength and the sums remain.


def differences(x: Array, axes: Axes, where: Mask, along: list[int]) -> Iterator[tuple[Index, Index, float]]:
    """Every (earlier, later, difference) along some axes whose two ends count."""
    present = dict(counted(x, where))
    for axis in along:
        for earlier, value in present.items():
            later = (*earlier[:axis], earlier[axis] + 1, *earlier[axis + 1 :])
            if later in present:
                yield earlier, later, present[later] - value


def positions(axes: Axes) -> list[int]:
    """The places of the position axes, p0 first."""
    return sorted(matching("position", axes), key=lambda place: int(axes[place][1:]))


def temporal_l2(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σ_t (x_{t+1} − x_t)² along the first position axis. Gradient 2λd at the later end, −2λd at the earlier."""
    terms, gradient, size = [], np.zeros(x.shape), np.zeros(x.shape)
    for earlier, later, d in differences(x, axes, where, positions(axes)[:1]):
        terms.append(strength * d * d)
        slope = 2 * strength * d
        gradient[later] += slope
        gradient[earlier] -= slope
        size[later] += abs(slope)
        size[earlier] += abs(slope)
    return Expected(total(terms), gradient, total(terms), size, roundings=4, gradient_roundings=4)


def total_variation(x: Array, axes: Axes, where: Mask, /, *, strength: float) -> Expected:
    """λ Σ |x_{p+1} − x_p| along every position axis. Gradient ±λ sign(d), 0 for a difference of 0."""
    along = positions(axes)
    terms, gradient, size = [], np.zeros(x.shape), np.zeros(x.shape)
    for earlier, later, d in differences(x, axes, where, along):
        terms.append(strength * abs(d))
        gradient[later] += strength * sign(d)
        gradient[earlier] -= strength * sign(d)
        size[later] += strength * abs(sign(d))
        size[earlier] += strength * abs(sign(d))
    return Expected(total(terms), gradient, total(terms), size, terms_per_element=len(along))


ORACLES: dict[str, Oracle] = {"TemporalL2": temporal_l2, "TotalVariation": total_variation}
