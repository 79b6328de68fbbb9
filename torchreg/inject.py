"""Injection: a penalty whose gradient joins in backward while forward, and so the loss, stays as it was."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ._arrays import check_floating
from ._spec.errors import coefficient, sentence
from ._spec.layout import Axes
from .penalty import Penalty


def inject(x: Tensor, penalty: Penalty, *, scale: Any = 1.0, axes: Axes | None = None, where: Any = None) -> Tensor:
    r"""The identity, which adds the gradient of a penalty to the gradient that comes back through it.

    .. math:: y = x, \qquad \bar{x} = \bar{y} + s \, \nabla \Omega(x)

    The loss does not contain the penalty, so nothing that scales the loss scales the penalty.

    Args:
        x: the array, in canonical layout, floating.
        penalty: :math:`\Omega`; its plain value, divided by no batch size.
        scale: :math:`s`, a factor for the gradient, such as that of loss scaling; finite and >= 0, or a scalar array.
        axes: the names of the axes of ``x``; by default those that the penalty assumes.
        where: a mask over the leading axes of ``x``, 1 = counts.

    Shapes:
        ``x``: any shape that the penalty takes. Result: shape, dtype and values of ``x``.

    Gradient:
        That of the identity plus ``scale`` times that of the penalty, in the dtype of ``x``.

    Raises:
        TypeError: ``penalty`` is not a penalty, ``scale`` is not a number, or ``x`` is not a dense floating array.
        ValueError: ``scale`` is negative or not finite, or ``axes`` or ``where`` do not fit ``x``.

    Source:
        ``L1Penalty`` of Torch 7, with any penalty in place of the sum of absolute values.
    """
    return _injected("inject", x, penalty, scale, axes, where)[0]


class Penalize(nn.Module):
    r"""The identity, as a module, which adds the gradient of a penalty in backward; see ``inject``.

    .. math:: y = x, \qquad \bar{x} = \bar{y} + s \, \nabla \Omega(x)

    ``value`` is the penalty (without ``scale``, and without a gradient) of the last call that was differentiated,
    None before the first; it is no part of the module's state.

    Args:
        penalty: :math:`\Omega`; its plain value, divided by no batch size.
        scale: :math:`s`, a factor for the gradient, such as that of loss scaling; finite and >= 0, or a scalar array.

    Shapes:
        Input: any shape that the penalty takes. Output: shape, dtype and values of the input.

    Gradient:
        That of the identity plus ``scale`` times that of the penalty, in the dtype of the input.

    Raises:
        TypeError: ``penalty`` is not a penalty, or ``scale`` is not a number.
        ValueError: ``scale`` is negative or not finite.

    Source:
        ``L1Penalty`` of Torch 7, with any penalty in place of the sum of absolute values.
    """

    def __init__(self, penalty: Penalty, scale: Any = 1.0) -> None:
        super().__init__()
        self.penalty = _check("Penalize", penalty, scale)
        self.scale = scale
        self.value: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        y, value = _injected("Penalize", x, self.penalty, self.scale, None, None)
        if value is not None:
            self.value = value.detach()
        return y

    def extra_repr(self) -> str:
        return f"{self.penalty}, scale={self.scale}"


class _Inject(torch.autograd.Function):
    """``x``, with the penalty's scalar tied to it: in backward the scalar gets ``scale`` whatever the loss was, and
    its own graph carries that on to ``x``. So every transform that knows the penalty's operations knows its injection.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, value: Tensor, scale: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient, ctx.saved_tensors[0], None


def _injected(
    where_from: str, x: Tensor, penalty: Penalty, scale: Any, axes: Axes | None, where: Any
) -> tuple[Tensor, Tensor | None]:
    """``x`` with the gradient injected, and the penalty; without gradients ``x`` alone, and nothing is computed."""
    _check(where_from, penalty, scale)
    check_floating(where_from, "x", x)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return x, None
    value = penalty(x, axes=axes, where=where)
    factor = torch.as_tensor(scale, dtype=value.dtype, device=value.device)
    return _Inject.apply(x, value, factor), value


def _check(where: str, penalty: Any, scale: Any) -> Penalty:
    if not isinstance(penalty, Penalty):
        raise TypeError(sentence(where, "penalty", "a penalty, such as L1(1e-4)", penalty))
    if not isinstance(scale, Tensor):
        coefficient(where, "scale", scale)
    elif scale.shape != ():
        raise ValueError(sentence(where, "scale", "a number or a scalar array", tuple(scale.shape)))
    return penalty
