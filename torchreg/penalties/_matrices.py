"""What the penalties of a matrix share: sides, ties, and how finely rounding can tell."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SIDES = ("out", "in", "min", "both")


def least(x: Tensor) -> float:
    """A scale from below for what is squared after it was scaled back: the gradient is multiplied by the scale before
    it is divided by it, and two numbers that are tiny would underflow. The fourth root of the smallest normal number
    leaves both the square of ``x`` over it and the product with it as much room.
    """
    return 2.0 ** (math.frexp(torch.finfo(x.dtype).tiny)[1] // 4)


def by_side(w: Tensor, side: str) -> list[Tensor]:
    """The matrix with the vectors of a side as its rows, once for each side that the word means."""
    smaller = "out" if w.shape[0] <= w.shape[1] else "in"
    sides = {"min": (smaller,), "both": ("out", "in")}.get(side, (side,))
    return [w if each == "out" else w.mT for each in sides]


def slack(x: Tensor) -> float:
    """The relative distance within which rounding cannot tell two results of sums along ``x`` apart: their errors are
    random walks of as many steps as its longest axis.
    """
    return 8 * torch.finfo(x.dtype).eps * math.sqrt(max(x.shape))


def largest_of_ties(values: Tensor, tied: Tensor, counts: Tensor) -> Tensor:
    """The largest value, with the mean of the gradients of the tied ones, each as often as it counts; 0 if none are."""
    shares = torch.where(tied, counts, 0.0)
    mean = (torch.where(tied, values, 0.0) * shares).sum() / shares.sum().clamp(min=1.0)
    lift = (values.amax() - mean).detach()
    return mean + torch.where(torch.isinf(values.amax().detach()), 0.0, lift)
