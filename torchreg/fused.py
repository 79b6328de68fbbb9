"""Sums of magnitudes and of squares, and their gradients, without temporaries of the size of the array.

Note [Chunks]
On a CPU most of the time of ``x.abs().sum()`` and of its backward goes into the first touch of temporaries as large as
``x``. So the array is read in pieces, of which each thread's share stays in its cache, through one scratch buffer,
inside one autograd node whose gradient is the closed form. Compiled code, ``torch.func``, forward-mode and second
derivatives, accelerators, subclasses, strided and small arrays take the plain algebra: the same formula, which the
compiler fuses by itself.

Note [Lists]
Of many small arrays it is calls that cost, and on a GPU those of large ones too. So whole lists have one node, or their
gradients added at once; a list is no longer than what it needs room for is worth. The norms of a list are sums over
blocks on a GPU, as accurate as a sum; on a CPU they are running sums, which are not, so arrays of one shape become the
rows of one array there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from operator import attrgetter
from typing import Any

import torch
from torch import (
    Tensor,
    _foreach_add_,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_mul,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_mul_,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_norm,  # pyright: ignore[reportPrivateImportUsage]
    _foreach_sign,  # pyright: ignore[reportPrivateImportUsage]
)
from torch.autograd import forward_ad

from ._arrays import WIDE, accumulate

BATCHED = tuple(map(torch._C._dispatch_key_parse, ("Batched", "FuncTorchBatched")))  # of ``is_grads_batched``, of vmap
PLAIN = {Tensor, torch.nn.Parameter}
_ON_CPU = attrgetter("is_cpu")
SHARE = 1 << 16  # elements of a piece for each thread
SHORT = 1 << 15  # elements of an array that is one of many in one
ROWS = 1 << 16  # elements of such arrays together
LEAST = 1 << 17
LISTED = 1 << 24  # elements of a list at a time, beyond its first array: its signs are an array of that size


def elastic(x: Tensor, l1: float | None, l2: float | None) -> Tensor:
    """``l1 Σ|x| + l2 Σx²``, in the dtype of accumulation; a coefficient of None leaves its sum out."""
    if _is_served(x):
        return _Elastic.apply(x, l1, l2)
    return _scaled(_sum(accumulate(x), None, l1, l2), _scales(l1, l2)[0])


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
    """What :func:`add_elastic_gradient` does, for many arrays: the values, a vector for the places of a list."""
    found = []
    for places in _lists(xs):
        first = xs[places[0]]
        add = add_in_lists if first.is_cuda else _add_to_rows if first.numel() <= SHORT else _add_to_one
        found.append((places, add([gradients[i] for i in places], [xs[i] for i in places], l1, l2, by)))
    return found


def elastics(xs: list[Tensor], l1: float | None, l2: float | None) -> list[tuple[list[int], Tensor]]:
    """:func:`elastic` of many arrays: a vector for the places of a list, which has one node, a scalar for one place."""
    lists = _lists(xs, {i for i, x in enumerate(xs) if not _fits(x)}) if _is_eager() else ([i] for i in range(len(xs)))
    given = [(places, [xs[i] for i in places]) for places in lists]
    return [
        (places, _Elastics.apply(l1, l2, *some) if len(some) > 1 else elastic(some[0], l1, l2))
        for places, some in given
    ]


def _fits(x: Tensor) -> bool:
    """Whether an array may be one of a list that has one node; one narrower than sums are is rounded at each step."""
    return are_addable([x]) and (x.is_cuda or x.dtype in WIDE)


def add_in_lists(gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
    """Adds for arrays of one type on one device, and returns their values, see Note [Lists]."""
    if l1 is not None:
        _foreach_add_(gradients, _foreach_sign(xs), alpha=by * l1)
    if l2 is not None:
        _foreach_add_(gradients, xs, alpha=2 * by * l2)
    return _listed(xs, l1, l2)


def _lists(xs: list[Tensor], alone: Set[int] = frozenset()) -> Iterator[list[int]]:
    """The places of the arrays, in lists: of one type on one GPU, or of one type and shape where they are short.

    Those in ``alone``, and long ones, have a list each.
    """
    kinds: dict[Any, list[int]] = {}
    for i, x in enumerate(xs):
        if i in alone or (x.numel() > SHORT and not x.is_cuda):
            yield [i]
        else:
            kinds.setdefault((x.dtype, x.device if x.is_cuda else x.shape), []).append(i)
    for places in kinds.values():
        first = xs[places[0]]
        if first.is_cuda:
            yield from _shares(places, [xs[i].numel() for i in places])
        else:
            rows = ROWS // max(first.numel(), 1)
            yield from (places[start : start + rows] for start in range(0, len(places), rows))


def _shares(places: list[int], sizes: list[int]) -> Iterator[list[int]]:
    """The places, in lists of one array, or of several that together have no more than LISTED elements."""
    share, total = [], 0
    for place, size in zip(places, sizes, strict=True):
        if share and total + size > LISTED:
            yield share
            share, total = [], 0
        share.append(place)
        total += size
    yield share


def are_addable(xs: list[Tensor]) -> bool:
    """Whether the gradients of arrays can be added in place here: of plain ones, or ones on a GPU."""
    if not {type(x) for x in xs} <= PLAIN:
        return False
    everywhere = all(map(_ON_CPU, xs)) and all(map(Tensor.is_contiguous, xs))  # asked for hundreds at each step
    return everywhere or all(is_plain(x) or (x.is_cuda and x.layout == torch.strided) for x in xs)


def is_plain(x: Tensor) -> bool:
    """Whether an array is a contiguous one in the memory of the CPU, and no subclass that means something else."""
    return type(x) in PLAIN and x.is_cpu and x.is_contiguous()


def _is_served(x: Tensor) -> bool:
    return x.numel() >= LEAST and _is_eager() and is_plain(x)


def _is_eager() -> bool:
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


class _Elastics(torch.autograd.Function):
    """One node for a list of arrays; what it saves is the arrays themselves."""

    @staticmethod
    def forward(ctx: Any, l1: float | None, l2: float | None, *xs: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(*xs)
        ctx.l1, ctx.l2 = l1, l2
        return _listed(list(xs), l1, l2) if xs[0].is_cuda else _rows(list(xs), l1, l2)[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        xs, (_, scale) = list(ctx.saved_tensors), _scales(ctx.l1, ctx.l2)
        if torch.is_grad_enabled() or _is_batched(gradient):  # it is differentiated again, or there are many at once
            slopes = [_slope(x, None, ctx.l1, ctx.l2) for x in xs]
            return None, None, *map(torch.mul, slopes, _scaled(gradient, scale).unbind())
        one = gradient[0] if gradient.stride(0) == 0 else gradient  # what comes back from a sum is one number
        return None, None, *_slopes(xs, ctx.l1, ctx.l2, _scaled(one, scale))


def _slopes(xs: list[Tensor], l1: float | None, l2: float | None, by: Tensor) -> Sequence[Tensor]:
    """The slopes of a list, times one number, or each times its own; those of one sum still lack its coefficient."""
    factors = list(by.unbind()) if by.ndim else by
    if l1 is None:
        return _foreach_mul(xs, factors)
    slopes = _foreach_sign(xs)
    if l2 is not None:
        _foreach_mul_(slopes, l1)
        _foreach_add_(slopes, xs, alpha=2 * l2)
    _foreach_mul_(slopes, factors)
    return slopes


def _is_batched(gradient: Tensor) -> bool:
    return any(map(torch._C._dispatch_keys(gradient).has, BATCHED))


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
    return _scaled(torch.stack(sums).sum(), scale)


def _scaled(values: Tensor, scale: float | None) -> Tensor:
    return values if scale is None else scale * values


def _add_to_one(gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
    """A list of one array."""
    return add_elastic_gradient(gradients[0], xs[0], l1, l2, by).reshape(1)


def _add_to_rows(gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
    """Short arrays of one shape are the rows of one array, because calls cost more than their arithmetic."""
    (_, scale), (values, rows, row) = _scales(l1, l2), _rows(xs, l1, l2)
    _foreach_add_(gradients, _slope(rows, row, l1, l2).unbind(), alpha=by if scale is None else by * scale)
    return values


def _rows(xs: list[Tensor], l1: float | None, l2: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """The values of arrays of one shape; the array of which they are the rows, and room for as much."""
    rows = accumulate(torch.stack(xs))
    matrix, room = rows.view(len(xs), xs[0].numel()), torch.empty_like(rows)
    return _scaled(_sum(matrix, room.view_as(matrix), l1, l2, 1), _scales(l1, l2)[0]), rows, room


def _listed(xs: list[Tensor], l1: float | None, l2: float | None) -> Tensor:
    """The values of a list, see Note [Lists]."""
    wide, values = xs[0].dtype if xs[0].dtype in WIDE else torch.float32, []
    if l1 is not None:
        values.append(l1 * torch.stack(_foreach_norm(xs, 1, dtype=wide)))
    if l2 is not None:
        values.append(l2 * torch.stack(_foreach_norm(xs, 2, dtype=wide)).square())
    return values[0] if len(values) == 1 else values[0] + values[1]


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
