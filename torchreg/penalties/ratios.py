"""Penalties that are ratios of norms: they do not change when the array is scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .._arrays import abs0, accumulate, magnitude, masked, safe_divide, total
from .._spec.errors import choice
from .._spec.layout import Axes
from ..penalty import Penalty


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
        choice("HoyerSquare", "over", self.over, ("sample", "batch"))

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        by_sample = self.over == "sample" and "sample" in axes
        within = tuple(i for i, axis in enumerate(axes) if not (by_sample and axis == "sample"))
        x = masked(accumulate(x), where)
        # Below the root of eps the constant is what must stay in range, or it would overflow beside the scaled squares.
        least = 2.0 ** math.floor(math.log2(self.eps) / 2) if self.eps else 0.0
        scale = magnitude(x, within, least)
        x = x / scale
        if within:
            scale = scale.squeeze(within)
        ratios = safe_divide(total(abs0(x), within) ** 2, total(x**2, within) + (math.sqrt(self.eps) / scale) ** 2)
        return self.strength * ratios.sum() / _samples(ratios, axes, where, by_sample)


def _samples(ratios: Tensor, axes: Axes, where: Tensor | None, by_sample: bool) -> Tensor | int:
    """How many ratios count: all of them, or under a mask those of samples with something unmasked; at least 1."""
    if not by_sample or where is None:
        return max(ratios.numel(), 1)
    others = tuple(i for i, axis in enumerate(axes) if axis != "sample")
    seen = where.any(dim=others) if others else where
    return torch.clamp(seen.sum(), min=1)
