"""Sums of magnitudes and of squares, and their gradients, without temporaries of the size of the array.

Note [Chunks]
On a CPU most of the time of ``x.abs().sum()`` and of its backward goes into the first touch of temporaries as large as
``x``. So the array is read in pieces, of which each thread's share stays in its cache, through one scratch buffer,
inside one autograd node whose gradient is the closed form. Compiled code, ``torch.func``, forward-mode and second
derivatives, accelerators, subclasses, strided and small arrays take the plain algebra: the same formula, which the
compiler fuses by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ._arrays import WIDE, accumulate

BATCHED = tuple(map(torch._C._dispatch_key_parse, ("Batched", "FuncTorchBatched")))
PLAIN = {Tensor, torch.nn.Parameter}
SHARE = 1 << 17  # elements of a piece for each thread
LEAST = 1 << 17
_is_cpu = attrgetter("is_cpu")


def elastic(x: Tensor, l1: float | None, l2: float | None) -> Tensor:
    """``l1 Σ|x| + l2 Σx²``, in the dtype of accumulation; a coefficient of None leaves its sum out."""
    if _is_served(x):
        return _Elastic.apply(x, l1, l2)
    return scaled(summed(accumulate(x), None, l1, l2), scales(l1, l2)[0])


def add_elastic_gradient(gradient: Tensor, x: Tensor, l1: float | None, l2: float | None, by: float) -> Tensor:
    """Adds ``by`` times the gradient of :func:`elastic`, in place, and returns its value; for plain arrays."""
    sums, (scale, slope_scale) = [], scales(l1, l2)
    by = by if slope_scale is None else by * slope_scale
    for (wide, row), into in zip(_wide_pieces(x), _pieces(gradient), strict=True):
        sums.append(summed(wide, row, l1, l2))
        into.add_(slope(wide, row, l1, l2), alpha=by)
    return _joined(sums, scale)


def is_plain(x: Tensor) -> bool:
    """Whether an array is a contiguous one in the memory of the CPU, and no subclass that means something else."""
    return type(x) in PLAIN and x.is_cpu and x.is_contiguous()


def are_plain(xs: list[Tensor]) -> bool:
    """Whether all of many are such arrays, asked without a call of Python for each."""
    alike = PLAIN.issuperset(map(type, xs)) and all(map(_is_cpu, xs))
    return alike and all(map(Tensor.is_contiguous, xs))


def _is_served(x: Tensor) -> bool:
    return x.numel() >= LEAST and is_eager() and is_plain(x)


def is_eager() -> bool:
    """Whether a node of our own can serve: nothing compiles, transforms or looks at first derivatives forwards."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


class _Elastic(torch.autograd.Function):
    """One node for value and gradient; what it saves is ``x`` itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, l1: float | None, l2: float | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        ctx.l1, ctx.l2 = l1, l2
        return _joined([summed(wide, row, l1, l2) for wide, row in _wide_pieces(x)], scales(l1, l2)[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,), (_, scale) = ctx.saved_tensors, scales(ctx.l1, ctx.l2)
        if torch.is_grad_enabled() or is_batched(gradient):  # it is differentiated again, or there are many at once
            result = scaled(gradient * slope(accumulate(x), None, ctx.l1, ctx.l2), scale)
            return result.to(x.dtype), None, None
        by, result = gradient.item() * (1 if scale is None else scale), torch.empty_like(x)
        narrow = x.dtype not in WIDE  # a slope needs room of its own only where it cannot be had in the result
        for (wide, row), out in zip(_wide_pieces(x, room=narrow), _pieces(result), strict=True):
            torch.mul(slope(wide, row if narrow else out, ctx.l1, ctx.l2), by, out=out)
        return result, None, None


def is_batched(gradient: Tensor) -> bool:
    """Whether what comes back is a batch, as ``is_grads_batched`` and ``vmap`` make them: several numbers at once."""
    return any(map(torch._C._dispatch_keys(gradient).has, BATCHED))


def scales(l1: float | None, l2: float | None) -> tuple[float | None, float | None]:
    """What a value and a slope are still to be multiplied by, at the end and once; None where it is 1."""
    if l1 is not None and l2 is not None:
        return None, None
    value, slope = (l1, l1) if l2 is None else (l2, 2 * l2)
    return None if value == 1 else value, None if slope == 1 else slope


def summed(wide: Tensor, out: Tensor | None, l1: float | None, l2: float | None, dim: int | None = None) -> Tensor:
    """``Σ|x|``, ``Σx²`` or, of both, ``l1 Σ|x| + l2 Σx²``; what is summed is written to ``out``."""
    if l2 is None:
        return torch.abs(wide, out=out).sum(dim)
    squares = torch.square(wide, out=out).sum(dim)
    return squares if l1 is None else l1 * torch.abs(wide, out=out).sum(dim) + l2 * squares


def slope(wide: Tensor, out: Tensor | None, l1: float | None, l2: float | None) -> Tensor:
    """The gradient: ``sign(x)``, ``x`` or, of both, ``l1 sign(x) + 2 l2 x``."""
    if l1 is None:
        return wide
    sign = torch.sgn(wide, out=out)
    return sign if l2 is None else torch.add(torch.mul(sign, l1, out=out), wide, alpha=2 * l2, out=out)


def _joined(sums: list[Tensor], scale: float | None) -> Tensor:
    return scaled(torch.stack(sums).sum(), scale)


def scaled(values: Tensor, scale: float | None) -> Tensor:
    return values if scale is None else scale * values


def _pieces(x: Tensor) -> tuple[Tensor, ...]:
    return x.detach().view(-1).split(SHARE * torch.get_num_threads())


def _wide_pieces(x: Tensor, room: bool = True) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The pieces in the dtype of accumulation, each with room for as much, if wanted; both last until the next."""
    narrow, found = x.dtype not in WIDE, _pieces(x)
    n = found[0].numel()
    scratch = torch.empty((room + narrow, n), dtype=torch.float32 if narrow else x.dtype, device="cpu")
    for piece in found:
        rows = scratch if piece.numel() == n else scratch[:, : piece.numel()]
        yield rows[-1].copy_(piece) if narrow else piece, rows[0] if room else None
