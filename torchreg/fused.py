"""Sums of magnitudes and of squares, and their gradients, without temporaries of the size of the array.

Note [Chunks]
On a CPU most of the time of ``x.abs().sum()`` and of its backward goes into the first touch of temporaries as large as
``x``. So the array is read in pieces, of which each thread's share stays in its cache, through one scratch buffer,
inside one autograd node whose gradient is the closed form. Compiled code, ``torch.func``, forward-mode and second
derivatives, accelerators, subclasses, strided and small arrays take the plain algebra: the same formula, which the
compiler fuses by itself.

Note [Lists]
On a GPU it is launching kernels that costs, so gradients are added for whole lists of arrays at once. The norms of a
list are sums over blocks there, as accurate as a sum; on a CPU they are running sums, which are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, _foreach_add_, _foreach_norm, _foreach_sign  # pyright: ignore[reportPrivateImportUsage]
from torch.autograd import forward_ad

from ._arrays import WIDE, accumulate

SHARE = 1 << 16  # elements of a piece for each thread
SHORT = 1 << 15  # elements of an array that is one of many in one
LEAST = 1 << 17
LISTED = 1 << 24  # elements of a list at a time, beyond its first array: its signs are an array of that size


def elastic(x: Tensor, l1: float | None, l2: float | None) -> Tensor:
    """``l1 Σ|x| + l2 Σx²``, in the dtype of accumulation; a coefficient of None leaves its sum out."""
    if _is_served(x):
        return _Elastic.apply(x, l1, l2)
    value, scale = _sum(accumulate(x), None, l1, l2), _scales(l1, l2)[0]
    return value if scale is None else scale * value


def add_elastic_gradient(gradient: Tensor, x: Tensor, l1: float | None, l2: float | None, by: float) -> Tensor:
    """Adds ``by`` times the gradient of :func:`elastic`, in place, and returns its value; for plain arrays."""
    sums, (scale, slope_scale) = [], _scales(l1, l2)
    by = by if slope_scale is None else by * slope_scale
    for (wide, row), into in zip(_wide_pieces(x), _pieces(gradient), strict=True):
        sums.append(_sum(wide, row, l1, l2))
        into.add_(_slope(wide, row, l1, l2), alpha=by)
    return _joined(sums, scale)


@torch.no_grad()
def add_elastic_gradients(
    gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float
) -> list[tuple[list[int], Tensor]]:
    """What :func:`add_elastic_gradient` does, for many arrays: the values, a vector for some places at a time.

    Short arrays of one shape are the rows of one array, because calls cost more than their arithmetic.
    """
    places: dict[Any, list[int]] = {}
    for i, x in enumerate(xs):
        kind = (x.device, x.dtype) if x.is_cuda else (x.dtype, x.shape) if x.numel() <= SHORT else i
        places.setdefault(kind, []).append(i)
    found = []
    for every in places.values():
        first = every[0]
        if not xs[first].is_cuda and xs[first].numel() > SHORT:
            found.append((every, add_elastic_gradient(gradients[first], xs[first], l1, l2, by).reshape(1)))
            continue
        together, most = (add_in_lists, LISTED) if xs[first].is_cuda else (_add_to_rows, 2 * SHORT)
        found += [
            (some, together([gradients[i] for i in some], [xs[i] for i in some], l1, l2, by))
            for some in _shares(every, xs, most)
        ]
    return found


def add_in_lists(gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
    """Adds for arrays of one type on one device, and returns their values, see Note [Lists]."""
    wide, values = xs[0].dtype if xs[0].dtype in WIDE else torch.float32, []
    if l1 is not None:
        values.append(l1 * torch.stack(_foreach_norm(xs, 1, dtype=wide)))
        _foreach_add_(gradients, _foreach_sign(xs), alpha=by * l1)
    if l2 is not None:
        values.append(l2 * torch.stack(_foreach_norm(xs, 2, dtype=wide)).square())
        _foreach_add_(gradients, xs, alpha=2 * by * l2)
    return values[0] if len(values) == 1 else values[0] + values[1]


def _shares(places: list[int], xs: list[Tensor], most: int) -> Iterator[list[int]]:
    """The places, in lists of one array, or of several that together have at most so many elements."""
    share, size = [], 0
    for i in places:
        if share and size + xs[i].numel() > most:
            yield share
            share, size = [], 0
        share.append(i)
        size += xs[i].numel()
    yield share


def is_addable(x: Tensor) -> bool:
    """Whether the gradients of an array can be added in place here: of a plain one, or one on a GPU."""
    return is_plain(x) or (type(x) in (Tensor, torch.nn.Parameter) and x.is_cuda and x.layout == torch.strided)


def is_plain(x: Tensor) -> bool:
    """Whether an array is a contiguous one in the memory of the CPU, and no subclass that means something else."""
    return type(x) in (Tensor, torch.nn.Parameter) and x.is_cpu and x.is_contiguous()


def _is_served(x: Tensor) -> bool:
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
    def forward(ctx: Any, x: Tensor, l1: float | None, l2: float | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x)
        ctx.l1, ctx.l2 = l1, l2
        return _joined([_sum(wide, row, l1, l2) for wide, row in _wide_pieces(x)], _scales(l1, l2)[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,), (_, scale) = ctx.saved_tensors, _scales(ctx.l1, ctx.l2)
        factor = None if torch.is_grad_enabled() else _number(gradient)
        if factor is None:  # it is differentiated again, or there are many at once
            slope = gradient * _slope(accumulate(x), None, ctx.l1, ctx.l2)
            return (slope if scale is None else scale * slope).to(x.dtype), None, None
        by, result = factor if scale is None else scale * factor, torch.empty_like(x)
        narrow = x.dtype not in WIDE  # a slope needs room of its own only where it cannot be had in the result
        for (wide, row), out in zip(_wide_pieces(x, room=narrow), _pieces(result), strict=True):
            torch.mul(_slope(wide, row if narrow else out, ctx.l1, ctx.l2), by, out=out)
        return result, None, None


def _number(gradient: Tensor) -> float | None:
    """What comes back, as a number; None for a batch, as ``is_grads_batched`` makes it, in which there are several."""
    try:
        return gradient.item()
    except RuntimeError:
        return None


def _scales(l1: float | None, l2: float | None) -> tuple[float | None, float | None]:
    """What a value and a slope are still to be multiplied by, at the end and once; None where it is 1."""
    return (l1, l1) if l2 is None else (l2, 2 * l2) if l1 is None else (None, None)


def _sum(wide: Tensor, out: Tensor | None, l1: float | None, l2: float | None, dim: int | None = None) -> Tensor:
    """``Σ|x|``, ``Σx²`` or, of both, ``l1 Σ|x| + l2 Σx²``; what is summed is written to ``out``."""
    if l2 is None:
        return torch.abs(wide, out=out).sum(dim)
    squares = torch.square(wide, out=out).sum(dim)
    return squares if l1 is None else l1 * torch.abs(wide, out=out).sum(dim) + l2 * squares


def _slope(wide: Tensor, out: Tensor | None, l1: float | None, l2: float | None) -> Tensor:
    """The gradient: ``sign(x)``, ``x`` or, of both, ``l1 sign(x) + 2 l2 x``."""
    if l1 is None:
        return wide
    sign = torch.sgn(wide, out=out)
    return sign if l2 is None else torch.add(torch.mul(sign, l1, out=out), wide, alpha=2 * l2, out=out)


def _joined(sums: list[Tensor], scale: float | None) -> Tensor:
    total = torch.stack(sums).sum()
    return total if scale is None else scale * total


def _add_to_rows(gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
    """Arrays of one shape as the rows of one array, whose values are returned."""
    (scale, slope_scale), rows = _scales(l1, l2), accumulate(torch.stack(xs))
    matrix, row = rows.view(len(xs), xs[0].numel()), torch.empty_like(rows)
    sums = _sum(matrix, row.view_as(matrix), l1, l2, 1)
    slopes = _slope(rows, row, l1, l2).unbind()
    _foreach_add_(gradients, slopes, alpha=by if slope_scale is None else by * slope_scale)
    return sums if scale is None else scale * sums


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
