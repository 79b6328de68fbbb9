"""Penalties that are ratios of norms: they do not change when the array is scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .._arrays import abs0, accumulate, magnitude, masked, norm, safe_divide, safe_sqrt, total
from .._spec.errors import choice, sentence
from .._spec.layout import Axes, check_groups, inside
from ..penalty import Penalty

OVER = ("sample", "batch")


@dataclass(frozen=True)
class Hoyer(Penalty):
    r"""Ratio of the 1-norm and the 2-norm; counts, as a root, the elements that matter, whatever their scale.

    .. math:: \Omega(x) = \lambda\, \frac{\sum_i \lvert x_i \rvert}{\lVert x \rVert_2 + \varepsilon}

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        eps: :math:`\varepsilon`, finite and >= 0; 0, the default, keeps the ratio exactly independent of scale.
        over: on an array with a sample axis: ``"sample"`` is the mean over samples of one ratio each, ``"batch"`` one
            ratio over everything. An array without a sample axis has one ratio.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at the zero array, whose value is 0 too; at an element that is 0 the gradient is 0.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``over`` is unknown.

    Source:
        Hoyer (2004), after: the ratio within the measure of sparseness.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength", "eps")

    strength: float
    eps: float = 0.0
    over: str = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("Hoyer", "over", self.over, OVER)

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        by_sample = self.over == "sample" and "sample" in axes
        sizes = abs0(masked(accumulate(x), where))
        within = _one_ratio(axes, by_sample)
        sizes, eps = _in_range(sizes, within, self.eps)
        ratios = safe_divide(total(sizes, within), safe_sqrt(total(sizes**2, within)) + eps)
        return self.strength * ratios.sum() / _samples(ratios, axes, where, by_sample)


@dataclass(frozen=True)
class HoyerSquare(Penalty):
    r"""Squared ratio of the 1-norm and the 2-norm; counts the elements that matter, whatever their scale.

    .. math:: \Omega(x) = \lambda\, \frac{(\sum_i \lvert x_i \rvert)^2}{\sum_i x_i^2 + \varepsilon}

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        eps: :math:`\varepsilon`, finite and >= 0; 0, the default, keeps the ratio exactly independent of scale.
        over: on an array with a sample axis: ``"sample"`` is the mean over samples of one ratio each, ``"batch"`` one
            ratio over everything. An array without a sample axis has one ratio.

    Shapes:
        ``x``: any shape, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 at 0 and at the zero array, whose value is 0 too.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, or ``over`` is unknown.

    Source:
        Yang, Wen and Li (2020), DeepHoyer, the Hoyer-Square regularizer of section 3.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength", "eps")

    strength: float
    eps: float = 0.0
    over: str = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("HoyerSquare", "over", self.over, OVER)

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        by_sample = self.over == "sample" and "sample" in axes
        ratios = _squared(abs0(masked(accumulate(x), where)), _one_ratio(axes, by_sample), self.eps)
        return self.strength * ratios.sum() / _samples(ratios, axes, where, by_sample)


@dataclass(frozen=True)
class GroupHoyerSquare(Penalty):
    r"""Squared ratio of the sum of group norms and their 2-norm; counts the groups that matter, whatever their scale.

    .. math:: \Omega(x) = \lambda\, \frac{(\sum_g \lVert x_g \rVert_2)^2}{\sum_g \lVert x_g \rVert_2^2 + \varepsilon}

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        groups: the canonical axis, or axes, that index the groups, as for :class:`GroupLasso`. With ``over="sample"``
            they index the groups within a sample, and ``"sample"`` itself cannot be among them.
        eps: :math:`\varepsilon`, finite and >= 0; 0, the default, keeps the ratio exactly independent of scale.
        over: on an array with a sample axis: ``"sample"`` is the mean over samples of one ratio each, so that each may
            use groups of its own; ``"batch"`` one ratio of groups that reach over the batch, unless ``"sample"`` is
            among what indexes them. An array without a sample axis has one ratio.

    Shapes:
        ``x``: canonical layout, rank >= 1, floating. Result: scalar, float32 (float64 for float64).

    Gradient:
        0 on a group that is exactly zero and at the zero array, whose value is 0 too. Where the squares are so small
        beside :math:`\varepsilon` that their ratio is below the range of the dtype, value and gradient are 0.

    Raises:
        TypeError: a coefficient is not a number, or ``x`` is not a dense floating array.
        ValueError: a coefficient is negative or not finite, ``over`` is unknown, or ``groups`` does not fit ``over``
            or ``x``.

    Source:
        Yang, Wen and Li (2020), DeepHoyer, the Group-HS regularizer of section 3.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength", "eps")

    strength: float
    groups: str | tuple[str, ...] = "out"
    eps: float = 0.0
    over: str = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "groups", check_groups("GroupHoyerSquare", self.groups))
        choice("GroupHoyerSquare", "over", self.over, OVER)
        if self.over == "sample" and "sample" in self.groups:
            expected = "without 'sample' unless over='batch', since each sample has a ratio of its own"
            raise ValueError(sentence("GroupHoyerSquare", "groups", expected, self.groups))

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        by_sample = self.over == "sample" and "sample" in axes
        names = (*self.groups, "sample") if by_sample else tuple(self.groups)
        within = inside("GroupHoyerSquare", names, axes)
        norms = norm(masked(accumulate(x), where), within)
        remaining = tuple(axis for i, axis in enumerate(axes) if i not in within)
        ratios = _squared(norms, _one_ratio(remaining, by_sample), self.eps)
        return self.strength * ratios.sum() / _samples(ratios, axes, where, by_sample)


def _one_ratio(axes: Axes, by_sample: bool) -> tuple[int, ...]:
    """The axes that a ratio runs over: all, or all but the sample's."""
    return tuple(i for i, axis in enumerate(axes) if not (by_sample and axis == "sample"))


def _in_range(sizes: Tensor, within: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """Sizes and the constant beside their norm, both divided by one power of two for each ratio.

    Below eps the constant is what must stay in range, or it would overflow beside the scaled sizes.
    """
    scale = magnitude(sizes, within, 2.0 ** math.floor(math.log2(eps)) if eps else 0.0)
    return sizes / scale, eps / (scale.squeeze(within) if within else scale)


def _squared(sizes: Tensor, within: tuple[int, ...], eps: float) -> Tensor:
    """The squared sum of sizes over the sum of their squares and eps; 0 with gradient 0 where all of that is 0."""
    sizes, root = _in_range(sizes, within, math.sqrt(eps))
    return safe_divide(total(sizes, within) ** 2, total(sizes**2, within) + root**2)


def _samples(ratios: Tensor, axes: Axes, where: Tensor | None, by_sample: bool) -> Tensor | int:
    """How many ratios count: all of them, or under a mask those of samples with something unmasked; at least 1."""
    if not by_sample or where is None:
        return max(ratios.numel(), 1)
    others = tuple(i for i, axis in enumerate(axes) if axis != "sample")
    seen = where.any(dim=others) if others else where
    return torch.clamp(seen.sum(), min=1)
