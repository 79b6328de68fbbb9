"""Ratios of norms."""

from __future__ import annotations

import math

import numpy as np

from parity_tests.oracles._loops import Array, Axes, Expected, Index, Mask, Oracle, euclidean, grouped, sign, total

Part = list[tuple[Index, float]]


def parts(x: Array, axes: Axes, where: Mask, over: str) -> list[Part]:
    """The elements of each ratio: those of a sample where there is a sample axis, unless ``over="batch"``; else all.

    A sample of which nothing counts is not a sample.
    """
    names = ("sample",) if over == "sample" and "sample" in axes else ()
    return list(grouped(x, axes, where, names).values())


def doubling(elements: list[Part]) -> float:
    """log₂ of the number of elements of the longest ratio: how many roundings a sum over them takes."""
    return math.log2(max([1, *(len(entries) for entries in elements)]))


# Note [Hoyer]
# Roundings of a/(b + eps) with a = Σ|x| and b = √Σx² over m elements, L = log₂ m, and s ratios, L + log₂ s = log₂ n.
#   value      a has L; b has ½L from the sum, ½ from the squares and 1 from the root, b + eps 1 more; the quotient 1;
#              the sum over ratios log₂ s, the division by s 1, λ and its product 2: (6½ + ½L + log₂ n) u S.
#   gradient   sign(x)/(b + eps): 2½ + ½L of the denominator, 1 of the quotient, 3 of λ and s.
#              a x/(b (b + eps)²): L of a, 5 + L of the square, 1½ + ½L of b, 5 products and quotients, 3 of λ and s:
#              14½ + 2½L, and 1 where the two meet. As they cancel S has both: (15½ + 1½L + log₂ n) u S.


def hoyer(x: Array, axes: Axes, where: Mask, /, *, strength: float, eps: float = 0.0, over: str = "sample") -> Expected:
    """λ (Σ|x|)/(‖x‖₂ + eps); with a sample axis, one ratio per sample, averaged, unless ``over="batch"``.

    With a = Σ|x| and b = ‖x‖₂ the gradient is sign(x)/(b + eps) − a x/(b (b + eps)²), and 0 at the zero array.
    """
    elements = parts(x, axes, where, over)
    weight = strength / max(len(elements), 1)
    terms, gradient, size = [], np.zeros(x.shape), np.zeros(x.shape)
    for entries in elements:
        a = total(abs(xi) for _, xi in entries)
        b = euclidean(xi for _, xi in entries)
        if b == 0:
            continue
        terms.append(weight * (a / (b + eps)))
        for i, xi in entries:
            towards, away = sign(xi) / (b + eps), (a / (b + eps)) * (xi / b) / (b + eps)
            gradient[i] = weight * (towards - away)
            size[i] = weight * (abs(towards) + abs(away))
    more = doubling(elements)
    return Expected(
        total(terms), gradient, total(terms), size, roundings=6.5 + 0.5 * more, gradient_roundings=15.5 + 1.5 * more
    )


def hoyer_square(
    x: Array, axes: Axes, where: Mask, /, *, strength: float, eps: float = 0.0, over: str = "sample"
) -> Expected:
    """λ (Σ|x|)² / (Σx² + eps); with a sample axis, one ratio per sample, averaged, unless ``over="batch"``.

    With a = Σ|x| and b = √(Σx² + eps) a ratio is (a/b)², so that no square leaves the range of float64. Its gradient is
    (2a/b²) sign(x) − (2a²/b⁴) x: two terms that cancel at |x| = b²/a, so their sizes are added in the scale.
    """
    elements = parts(x, axes, where, over)
    weight = strength / max(len(elements), 1)
    terms, gradient, size = [], np.zeros(x.shape), np.zeros(x.shape)
    for entries in elements:
        a = total(abs(xi) for _, xi in entries)
        b = euclidean([*(xi for _, xi in entries), math.sqrt(eps)])
        if b == 0:
            continue
        terms.append(weight * (a / b) * (a / b))
        for i, xi in entries:
            towards, away = 2 * (a / b) / b * sign(xi), 2 * (a / b) * (a / b) * (xi / b) / b
            gradient[i] = weight * (towards - away)
            size[i] = weight * (abs(towards) + abs(away))
    return Expected(total(terms), gradient, total(terms), size)


# Note [Group Hoyer square]
# Roundings of a²/b with a = Σ_g ‖x_g‖ and b = Σ_g ‖x_g‖² + eps, G groups of n_g elements, L = log₂ G + log₂ n_g, and s
# ratios, L + log₂ s = log₂ n. A norm has q = 1½ + ½ log₂ n_g, as in Note [Hoyer].
#   value      a has q + log₂ G, its square twice that and 1; b has 2q + 1 + log₂ G and 1 from eps; the quotient 1; the
#              sum over ratios, s and λ log₂ s + 3. In all 13 + 2 log₂ n_g + 3 log₂ G + log₂ s <= 13 + 2L + log₂ n.
#   gradient   (2a/b) x/‖x_g‖: a, b 3q + 2 + 2 log₂ G, q of the norm, 4 products and quotients, 3 of λ and s: 15 + 2L.
#              (2a²/b²) ‖x_g‖ x/‖x_g‖: a² has 2q + 2 log₂ G + 1, b² 4q + 4 + 2 log₂ G, the two norms 2q, 6 products and
#              quotients, 3 of λ and s: 26 + 4L, and 1 where the two meet. S has both: (27 + 3L + log₂ n) u S.


def group_hoyer_square(
    x: Array,
    axes: Axes,
    where: Mask,
    /,
    *,
    strength: float,
    groups: str | tuple[str, ...] = "out",
    eps: float = 0.0,
    over: str = "sample",
) -> Expected:
    """λ (Σ_g ‖x_g‖₂)² / (Σ_g ‖x_g‖₂² + eps); one ratio per sample, of the groups within it, unless ``over="batch"``.

    With a = Σ_g ‖x_g‖ and b = √(Σ_g ‖x_g‖² + eps) the gradient is (2a/b²) x/‖x_g‖ − (2a²/b⁴) x, and 0 throughout a
    group that is zero: there the first term may be any vector of length 2a/b² or less.
    """
    names = (groups,) if isinstance(groups, str) else groups
    per_sample = ("sample",) if over == "sample" and "sample" in axes else ()
    elements = parts(x, axes, where, over)
    weight = strength / max(len(elements), 1)
    terms, gradient, size = [], np.zeros(x.shape), np.zeros(x.shape)
    ratios: dict[int, list[Part]] = {}
    for entries in grouped(x, axes, where, (*per_sample, *names)).values():
        sample = entries[0][0][axes.index("sample")] if per_sample else 0
        ratios.setdefault(sample, []).append(entries)
    for members in ratios.values():
        norms = [euclidean(xi for _, xi in entries) for entries in members]
        a, b = total(norms), euclidean([*norms, math.sqrt(eps)])
        if b == 0:
            continue
        terms.append(weight * (a / b) * (a / b))
        for norm, entries in zip(norms, members, strict=True):
            for i, xi in entries:
                towards = 2 * (a / b) / b * (xi / norm) if norm != 0 else 0.0
                away = 2 * (a / b) * (a / b) * (xi / b) / b
                gradient[i] = weight * (towards - away)
                size[i] = weight * (abs(towards) + abs(away))
    more = doubling(elements)
    return Expected(
        total(terms), gradient, total(terms), size, roundings=13 + 2 * more, gradient_roundings=27 + 3 * more
    )


ORACLES: dict[str, Oracle] = {"Hoyer": hoyer, "HoyerSquare": hoyer_square, "GroupHoyerSquare": group_hoyer_square}
