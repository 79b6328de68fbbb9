"""Sums of magnitudes and of squares, and their gradients, without temporaries of the size of the array.

Note [Chunks]
On a CPU most of the time of ``x.abs().sum()`` and of its backward goes into the first touch of temporaries as large as
``x``. So the array is read in pieces that stay in the cache, through one scratch buffer, inside one autograd node whose
gradient is the closed form. A piece is no longer than what PyTorch does in one thread: waking the others at each step
costs more than they save. Compiled code, ``torch.func``, forward-mode and second derivatives, accelerators, subclasses,
strided and small arrays take the plain algebra: the same formula, which the compiler fuses by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, _foreach_add_, _foreach_sign  # pyright: ignore[reportPrivateImportUsage]
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
from torch.autograd import forward_ad

from ._arrays import abs0, accumulate

CHUNK = 1 << 15
LEAST = 1 << 17


def elastic(x: Tensor, l1: float | None, l2: float | None) -> Tensor:
    """``l1 Σ|x| + l2 Σx²``, in the dtype of accumulation; a coefficient of None leaves its sum out."""
    if _is_large(x):
        return _Elastic.apply(x, l1, l2)
    x = accumulate(x)
    parts = ([] if l1 is None else [l1 * abs0(x).sum()]) + ([] if l2 is None else [l2 * (x**2).sum()])
    return reduce(add, parts)


def add_elastic_gradient(gradient: Tensor, x: Tensor, l1: float | None, l2: float | None, by: float = 1.0) -> Tensor:
    """Adds ``by`` times the gradient of :func:`elastic`, in place, and returns its value; for plain arrays."""
    scratch, sums = _scratch(x), []
    for piece, slope in zip(_pieces(x), _pieces(gradient), strict=True):
        wide = _wide(piece, scratch)
        sums.append(_value(wide, scratch, l1, l2))
        if l1 is not None:
            slope.add_(torch.sign(wide, out=scratch[1, : len(wide)]), alpha=by * l1)
        if l2 is not None:
            slope.add_(wide, alpha=2 * by * l2)
    return torch.stack(sums).sum()


@torch.no_grad()
def add_elastic_gradients(
    gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float = 1.0
) -> list[tuple[list[int], Tensor]]:
    """What :func:`add_elastic_gradient` does, for many plain arrays: the values, a vector for some places at a time.

    Short arrays of one size are the rows of one matrix, because calls cost more than their arithmetic.
    """
    places: dict[tuple[Any, int], list[int]] = {}
    for i, x in enumerate(xs):
        n = x.numel()
        places.setdefault((x.dtype, n) if n <= CHUNK else (i, n), []).append(i)
    found = []
    for (_, n), every in places.items():
        if n > CHUNK:
            i = every[0]
            found.append((every, add_elastic_gradient(gradients[i], xs[i], l1, l2, by).reshape(1)))
            continue
        most = max(LEAST // max(n, 1), 1)
        found += [
            (some, _add_to_rows([gradients[i] for i in some], [xs[i] for i in some], l1, l2, by))
            for some in (every[i : i + most] for i in range(0, len(every), most))
        ]
    return found


def is_plain(x: Tensor) -> bool:
    """Whether an array is a contiguous one in the memory of the CPU, and no subclass that means something else."""
    return type(x) in (Tensor, torch.nn.Parameter) and x.is_cpu and x.is_contiguous()


def _is_large(x: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and x.numel() >= LEAST
        and is_plain(x)
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


class _Elastic(torch.autograd.Function):
    """One node for value and gradient; what it saves is ``x`` itself."""

    @staticmethod
    def forward(x: Tensor, l1: float | None, l2: float | None) -> Tensor:
        scratch = _scratch(x)
        return torch.stack([_value(_wide(piece, scratch), scratch, l1, l2) for piece in _pieces(x)]).sum()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float | None, float | None], output: Tensor) -> None:
        x, ctx.l1, ctx.l2 = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            wide = accumulate(x)
            slope = (ctx.l1 or 0.0) * wide.sgn() + 2 * (ctx.l2 or 0.0) * wide
            return (gradient * slope).to(x.dtype), None, None
        factor, scratch, result = gradient.item(), _scratch(x), torch.empty_like(x)
        for piece, out in zip(_pieces(x), _pieces(result), strict=True):
            wide = _wide(piece, scratch)
            narrow = out.dtype != wide.dtype
            slope = _slope(wide, scratch[1, : len(wide)] if narrow else out, ctx.l1, ctx.l2, factor)
            if narrow:
                out.copy_(slope)
        return result, None, None


def _value(wide: Tensor, scratch: Tensor, l1: float | None, l2: float | None) -> Tensor:
    """``l1 Σ|x| + l2 Σx²`` of one piece."""
    out = scratch[1, : len(wide)]
    parts = [] if l1 is None else [l1 * torch.abs(wide, out=out).sum()]
    parts += [] if l2 is None else [l2 * torch.mul(wide, wide, out=out).sum()]
    return reduce(add, parts)


def _add_to_rows(gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
    """Arrays of one size as the rows of a matrix, whose sums are returned."""
    flat = accumulate(_flatten_dense_tensors(xs))
    rows, parts = flat.view(len(xs), xs[0].numel()), []
    if l1 is not None:
        parts.append(l1 * rows.abs().sum(dim=1))
        _foreach_add_(gradients, _foreach_sign(xs), alpha=by * l1)
    if l2 is not None:
        parts.append(l2 * (rows**2).sum(dim=1))
        wide = xs if flat.dtype == xs[0].dtype else list(_unflatten_dense_tensors(flat, xs))
        _foreach_add_(gradients, wide, alpha=2 * by * l2)
    return reduce(add, parts)


def _slope(wide: Tensor, out: Tensor, l1: float | None, l2: float | None, factor: float) -> Tensor:
    """The gradient of one piece."""
    if l1 is None:
        return torch.mul(wide, 2 * (l2 or 0.0) * factor, out=out)
    torch.sgn(wide, out=out).mul_(l1 * factor)
    return out if l2 is None else out.add_(wide, alpha=2 * l2 * factor)


def _pieces(x: Tensor) -> Iterator[Tensor]:
    return iter(x.detach().view(-1).split(CHUNK))


def _scratch(x: Tensor) -> Tensor:
    """A row for a piece in the dtype of accumulation, and one for what is computed of it."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    return torch.empty((2, min(CHUNK, max(x.numel(), 1))), dtype=wide)


def _wide(piece: Tensor, scratch: Tensor) -> Tensor:
    return piece if piece.dtype == scratch.dtype else scratch[0, : len(piece)].copy_(piece)
