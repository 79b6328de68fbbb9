"""Sums of magnitudes and of squares of many arrays, and their gradients, in few calls.

Note [Lists]
Of many small arrays it is calls that cost, and on a GPU those of large ones too. So whole lists have one node, or their
gradients added at once; a list is no longer than what it needs room for is worth. The norms of a list are sums over
blocks on a GPU, as accurate as a sum; on a CPU they are running sums, which are not, so arrays of one shape become the
rows of one array there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
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

from ._arrays import WIDE, accumulate
from .fused import (
    PLAIN,
    add_elastic_gradient,
    are_plain,
    elastic,
    is_batched,
    is_eager,
    is_plain,
    scaled,
    scales,
    slope,
    summed,
)

ROWS = 1 << 16  # elements of short arrays that have one node
ADDED = (1 << 15) - 1  # of those whose gradients are added: too few for an operation to wake another thread
LISTED = 1 << 24  # elements of a list at a time, beyond its first array: its signs are an array of that size


@torch.no_grad()
def add_elastic_gradients(
    gradients: list[Tensor], xs: list[Tensor], lists: list[list[int]], l1: float | None, l2: float | None, by: float
) -> list[tuple[list[int], Tensor]]:
    """What :func:`add_elastic_gradient` does, for arrays in the lists of :func:`lists_of`: a vector of the values for
    some places, or a scalar for one.
    """
    found, short, rooms = [], {}, {}
    for places in lists:
        into, some = [gradients[i] for i in places], [xs[i] for i in places]
        first = some[0]
        if first.is_cuda:
            found.append((places, add_in_lists(into, some, l1, l2, by)))
        elif len(some) == 1:
            found.append((places, add_elastic_gradient(into[0], first, l1, l2, by)))
        else:
            key = first.dtype, first.shape, len(some)
            room = rooms[key] if key in rooms else rooms.setdefault(key, _Rows(*key, l1 is not None))
            sums = room.add(into, some, l1, l2, by)
            of_type = short.setdefault(sums.dtype, ([], []))
            of_type[0].extend(places)
            of_type[1].append(sums)
    return found + [(places, scaled(torch.cat(sums), scales(l1, l2)[0])) for places, sums in short.values()]


def elastics(xs: list[Tensor], l1: float | None, l2: float | None) -> list[tuple[list[int], Tensor]]:
    """:func:`elastic` of many arrays: a vector for the places of a list, which has one node, a scalar for one place."""
    if not is_eager():
        return [([i], elastic(x, l1, l2)) for i, x in enumerate(xs)]
    found = []
    for places in lists_of(xs, ROWS, {i for i, x in enumerate(xs) if not _fits(x)}):
        some = [xs[i] for i in places]
        found.append((places, _Elastics.apply(l1, l2, *some) if len(some) > 1 else elastic(some[0], l1, l2)))
    return found


def _fits(x: Tensor) -> bool:
    """Whether an array may be one of a list that has one node; one narrower than sums are is rounded at each step."""
    return _is_addable(x) and (x.is_cuda or x.dtype in WIDE)


def add_in_lists(gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
    """Adds for arrays of one type on one device, and returns their values, see Note [Lists]."""
    if l1 is not None:
        _foreach_add_(gradients, _foreach_sign(xs), alpha=by * l1)
    if l2 is not None:
        _foreach_add_(gradients, xs, alpha=2 * by * l2)
    return _listed(xs, l1, l2)


def lists_of(xs: list[Tensor], most: int, alone: Set[int] = frozenset()) -> Iterator[list[int]]:
    """The places of the arrays, in lists: of one type on one GPU, or of one type and shape and no more than ``most``
    elements together. Each in ``alone``, and each that is longer by itself, has a list of its own.
    """
    kinds: dict[Any, list[int]] = {}
    for i, x in enumerate(xs):
        key = i if i in alone else (x.dtype, x.device if x.is_cuda else x.shape)
        kinds.setdefault(key, []).append(i)
    for places in kinds.values():
        first = xs[places[0]]
        if first.is_cuda:
            yield from _shares(places, [xs[i].numel() for i in places])
        else:
            rows = max(most // max(first.numel(), 1), 1)
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
    return are_plain(xs) or all(map(_is_addable, xs))


def _is_addable(x: Tensor) -> bool:
    return is_plain(x) or (type(x) in PLAIN and x.is_cuda and x.layout == torch.strided)


class _Elastics(torch.autograd.Function):
    """One node for a list of arrays; what it saves is the arrays themselves."""

    @staticmethod
    def forward(ctx: Any, l1: float | None, l2: float | None, *xs: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(*xs)
        ctx.l1, ctx.l2 = l1, l2
        return _listed(list(xs), l1, l2) if xs[0].is_cuda else scaled(_sums(list(xs), l1, l2), scales(l1, l2)[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        xs, (_, scale) = list(ctx.saved_tensors), scales(ctx.l1, ctx.l2)
        if torch.is_grad_enabled() or is_batched(gradient):  # it is differentiated again, or there are many at once
            slopes = [slope(x, None, ctx.l1, ctx.l2) for x in xs]
            return None, None, *map(torch.mul, slopes, scaled(gradient, scale).unbind())
        one = gradient[0] if gradient.stride(0) == 0 else gradient  # what comes back from a sum is one number
        return None, None, *_slopes(xs, ctx.l1, ctx.l2, scaled(one, scale))


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


class _Rows:
    """Room for short arrays of one shape as rows of one array: calls cost more than their arithmetic."""

    def __init__(self, dtype: torch.dtype, shape: torch.Size, n: int, signs: bool) -> None:
        wide = dtype if dtype in WIDE else torch.float32
        self._rows = torch.empty((n, *shape), dtype=wide, device="cpu")
        self._matrix = self._rows.view(n, shape.numel())
        self._spare = torch.empty_like(self._matrix)
        self._slopes = (self._spare.view_as(self._rows) if signs else self._rows).unbind()

    def add(self, gradients: list[Tensor], xs: list[Tensor], l1: float | None, l2: float | None, by: float) -> Tensor:
        """Adds for arrays that it has room for, and returns their sums."""
        torch.stack(xs, out=self._rows)
        sums, scale = summed(self._matrix, self._spare, l1, l2, 1), scales(l1, l2)[1]
        slope(self._matrix, self._spare, l1, l2)
        _foreach_add_(gradients, self._slopes, alpha=by if scale is None else by * scale)
        return sums


def _sums(xs: list[Tensor], l1: float | None, l2: float | None) -> Tensor:
    """The sums of arrays of one shape, as those of the rows of one array."""
    rows = accumulate(torch.stack(xs)).view(len(xs), xs[0].numel())
    return summed(rows, torch.empty_like(rows), l1, l2, 1)


def _listed(xs: list[Tensor], l1: float | None, l2: float | None) -> Tensor:
    """The values of a list, see Note [Lists]."""
    wide, values = xs[0].dtype if xs[0].dtype in WIDE else torch.float32, []
    if l1 is not None:
        values.append(l1 * torch.stack(_foreach_norm(xs, 1, dtype=wide)))
    if l2 is not None:
        values.append(l2 * torch.stack(_foreach_norm(xs, 2, dtype=wide)).square())
    return values[0] if len(values) == 1 else values[0] + values[1]
