"""Injection: a penalty whose gradient joins in backward while forward, and so the loss, stays as it was."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ._arrays import accumulate, check_floating
from ._spec.errors import coefficient, sentence
from ._spec.layout import Axes
from .penalty import Penalty


def inject(x: Array, penalty: Penalty, *, scale: Any = 1.0, axes: Axes | None = None, where: Any = None) -> Array:
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
    check_injection("inject", penalty, scale)
    check_floating("inject", "x", x)
    names = tuple(axes) if isinstance(axes, list) else axes
    mask = None if where is None else jnp.asarray(where)
    # Computes nothing, and raises here what would otherwise be raised in the backward pass, far from the cause.
    jax.eval_shape(partial(penalty, axes=names, where=mask), x)
    factor = scale if isinstance(scale, Array) else jnp.asarray(scale, accumulate(x).dtype)
    return _injected(jnp.asarray(x), factor, mask, penalty, names)


def check_injection(where: str, penalty: Any, scale: Any) -> Penalty:
    """The penalty, where it is one and the scale is a factor."""
    if not isinstance(penalty, Penalty):
        raise TypeError(sentence(where, "penalty", "a penalty, such as L1(1e-4)", penalty))
    if not isinstance(scale, Array):
        coefficient(where, "scale", scale)
    elif scale.shape != ():
        raise ValueError(sentence(where, "scale", "a number or a scalar array", tuple(scale.shape)))
    return penalty


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _injected(x: Array, scale: Array, mask: Array | None, penalty: Penalty, axes: Axes | None) -> Array:
    return x


def _forward(
    x: Array, scale: Array, mask: Array | None, penalty: Penalty, axes: Axes | None
) -> tuple[Array, tuple[Array, Array, Array | None]]:
    return x, (x, scale, mask)


def _backward(
    penalty: Penalty, axes: Axes | None, saved: tuple[Array, Array, Array | None], above: Array
) -> tuple[Array, None, None]:
    x, scale, mask = saved
    # Scaled before it is rounded to the dtype of x: loss scaling is there to keep it from rounding to zero.
    value, back = jax.vjp(partial(penalty, axes=axes, where=mask), x)
    (own,) = back(scale.astype(value.dtype))
    return above + own, None, None


_injected.defvjp(_forward, _backward)
