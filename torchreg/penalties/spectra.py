"""Penalties of a matrix, from its singular values: one row per output, everything else flattened.

A singular value that is repeated has no derivative of its own, but the sum over the repeats has one, and so has every
sum whose weights carry no gradient. The weights are found first, by values that rounding cannot tell apart; so the
first derivative divides by no gap. The second one does: it is right where the singular values are distinct and not 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar

import torch
from torch import Tensor

from .._arrays import abs0, accumulate, magnitude, matrix
from .._spec.errors import choice, sentence
from .._spec.layout import Axes, require
from ..penalty import Penalty
from ._matrices import SIDES, by_side, largest_of_ties, least, slack


@dataclass(frozen=True)
class SpectralNorm(Penalty):
    r"""Largest singular value, squared and halved or plain; bounds how much a layer can stretch its input.

    .. math:: \Omega(W) = \tfrac{\lambda}{2}\, \sigma_1(W)^2 \quad\text{or}\quad \lambda\, \sigma_1(W)

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        power: 2 for half of the square, 1 for the norm itself.

    Shapes:
        ``x``: canonical layout with an ``out`` axis, seen as ``(out, everything else)``, floating. Result: scalar,
        float32 (float64 for float64).

    Gradient:
        :math:`\lambda \sigma_1 u_1 v_1^\top`, for power 1 :math:`\lambda u_1 v_1^\top`; the mean of these where the
        largest singular value is repeated, within what rounding can tell apart; 0 at the zero matrix.

    Raises:
        TypeError: ``strength`` is not a number, ``power`` is not an integer, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``power`` is neither 1 nor 2, ``x`` has no ``out`` axis, or
            a mask is given.

    Source:
        Yoshida and Miyato (2017), for power 2; by an exact factorization in place of power iteration.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float
    power: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.power, bool) or not isinstance(self.power, int):
            raise TypeError(sentence("SpectralNorm", "power", "1 or 2", self.power))
        if self.power not in (1, 2):
            raise ValueError(sentence("SpectralNorm", "power", "1 or 2", self.power))

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        w = matrix(accumulate(x), require("SpectralNorm", "out", axes))
        if w.numel() == 0:
            return self.strength * w.sum()
        singular, scale, spoilt = _spectrum(w, least(w) if self.power == 2 else 0.0)
        known = singular.detach()
        tied = (known >= known.amax() * (1 - slack(w))) & (known > 0)
        largest = largest_of_ties(singular, tied, torch.ones_like(known)) * scale
        return self.strength * (largest if self.power == 1 else 0.5 * largest * largest) + spoilt

    def honours_masks(self) -> bool:
        return False


@dataclass(frozen=True)
class Nuclear(Penalty):
    r"""Sum of singular values; drives a matrix to low rank.

    .. math:: \Omega(W) = \lambda \sum_i \sigma_i(W)

    Args:
        strength: :math:`\lambda`, finite and >= 0.

    Shapes:
        ``x``: canonical layout with an ``out`` axis, seen as ``(out, everything else)``, floating. Result: scalar,
        float32 (float64 for float64).

    Gradient:
        :math:`\lambda \sum_i u_i v_i^\top` over the singular values that are not 0, within what rounding can tell
        apart: the shortest subgradient.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``x`` has no ``out`` axis, or a mask is given.

    Source:
        Fazel, Hindi and Boyd (2001); the subdifferential after Watson (1992).
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        w = matrix(accumulate(x), require("Nuclear", "out", axes))
        if w.numel() == 0:
            return self.strength * w.sum()
        singular, scale, spoilt = _spectrum(w)
        known = singular.detach()
        kept = known > known.amax() * slack(w)
        return self.strength * (torch.where(kept, singular, known).sum() * scale) + spoilt

    def honours_masks(self) -> bool:
        return False


@dataclass(frozen=True)
class SpectralIsometry(Penalty):
    r"""Largest distance of an eigenvalue of a Gram matrix from 1; drives a layer to keep lengths as they are.

    .. math:: \Omega(W) = \lambda\, \sigma_{\max}(G - I) = \lambda \max_i \lvert \lambda_i(G) - 1 \rvert,
        \qquad G = W W^\top \text{ or } W^\top W

    Args:
        strength: :math:`\lambda`, finite and >= 0.
        side: the Gram matrix: ``"out"`` :math:`W W^\top`, ``"in"`` :math:`W^\top W`, ``"min"`` the smaller of the two
            (``"out"`` for a square), ``"both"`` the sum of both terms. A side larger than the rank of the matrix has
            the eigenvalue 0, so its term is at least :math:`\lambda`.

    Shapes:
        ``x``: canonical layout with an ``out`` axis, seen as ``(out, everything else)``, floating. Result: scalar,
        float32 (float64 for float64).

    Gradient:
        :math:`\pm 2 \lambda \sigma u v^\top`, of the singular value whose square is furthest from 1; the mean of these
        where several are, within what rounding can tell apart, on either side of 1 and each as often as the Gram matrix
        repeats it. 0 where the Gram matrix is the identity.

    Raises:
        TypeError: ``strength`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``strength`` is negative or not finite, ``side`` is unknown, ``x`` has no ``out`` axis, or a mask
            is given.

    Source:
        Bansal et al. (2018), the spectral restricted isometry property; exact, in place of one power step.
    """

    coefficients: ClassVar[tuple[str, ...]] = ("strength",)

    strength: float
    side: str = "min"

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("SpectralIsometry", "side", self.side, SIDES)

    def value(self, x: Tensor, axes: Axes, where: Tensor | None) -> Tensor:
        w = matrix(accumulate(x), require("SpectralIsometry", "out", axes))
        if w.numel() == 0:
            return self.strength * w.sum()
        singular, scale, spoilt = _spectrum(w, least=1.0)
        terms = [_isometry(singular, scale, len(rows), slack(w)) for rows in by_side(w, self.side)]
        return self.strength * reduce(add, terms) + spoilt

    def honours_masks(self) -> bool:
        return False


def _spectrum(w: Tensor, least: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """The singular values divided by a power of two, that power, and a 0 that is NaN, with its gradient, where
    something in ``w`` is not finite: the factorization refuses such a matrix, so it gets zeros in its place.
    """
    finite = torch.isfinite(w.detach()).all()
    scale = magnitude(w, (0, 1), least)
    singular = torch.linalg.svdvals(torch.where(finite, w, 0.0) / scale)
    return singular, scale.squeeze((0, 1)), (w * torch.where(finite, 0.0, torch.nan)).sum()


def _isometry(singular: Tensor, scale: Tensor, size: int, slack: float) -> Tensor:
    """The largest distance of a square from 1, among the eigenvalues of a Gram matrix of a size. What is tied is
    decided in scaled numbers, whose squares cannot overflow; with factors for the difference no gradient does either.
    """
    counts = torch.ones_like(singular.detach())
    if size > len(singular):
        singular = torch.cat([singular, torch.zeros_like(singular[:1])])
        counts = torch.cat([counts, torch.full_like(counts[:1], size - len(counts))])
    known, one = singular.detach(), 1.0 / scale
    distances = ((known - one) * (known + one)).abs()
    room = 2 * slack * torch.maximum(known.amax(), one) ** 2
    tied = (distances >= distances.amax() - room) & (distances > room)
    singular = singular * scale
    return largest_of_ties(abs0((singular - 1.0) * (singular + 1.0)), tied, counts)
