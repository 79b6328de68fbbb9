"""The gradients of parameters by their closed form, added to those that are there at one step after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter

import torch
from torch import Tensor

from .fused import are_plain
from .lists import ADDED, add_elastic_gradients, are_addable, lists_of
from .walk import ParameterEntry

_dtype, _shape, _device, _gradient = map(attrgetter, ("dtype", "shape", "device", "grad"))


class ClosedForm:
    """``l1 Σ|x| + l2 Σx²`` of the same parameters at each step.

    A step looks at every array again, because ``.data`` and ``.grad`` may be exchanged without a word, but groups them
    anew only where a shape, a type or a device is another one.
    """

    def __init__(self, entries: Iterable[ParameterEntry], l1: float | None, l2: float | None) -> None:
        self._entries, self._l1, self._l2 = list(entries), l1, l2
        self._parameters: list[Tensor] = []
        self._seen: tuple[list[object], ...] = ()
        self._lists: list[list[int]] = []

    def ready(self, held: Mapping[int, Tensor]) -> bool:
        """Whether these and the gradients that they have can be worked on in place; ``held`` are those trained."""
        parameters = [entry.stored() for entry in self._entries]
        if not all(map(held.__contains__, map(id, parameters))):
            return False
        found, dtypes = list(map(_gradient, parameters)), list(map(_dtype, parameters))
        alike = all(gradient is None or gradient.dtype == dtype for gradient, dtype in zip(found, dtypes, strict=True))
        floating = all(dtype.is_floating_point for dtype in set(dtypes))
        arrays = [*parameters, *(gradient for gradient in found if gradient is not None)]
        plain = are_plain(arrays)
        if not (alike and floating and (plain or are_addable(arrays))):
            return False
        seen = (list(map(_shape, parameters)), dtypes, [] if plain else list(map(_device, parameters)))
        if seen != self._seen:
            self._seen, self._lists = seen, list(lists_of(parameters, ADDED))
        self._parameters = parameters
        return True

    def add(self, by: float) -> list[tuple[list[int], Tensor]]:
        """Adds ``by`` times their gradients, after :meth:`ready`, and tells the values, for some places each."""
        if len(gradients := _gradients(self._parameters)) < len(self._parameters):  # another term may have made them
            for parameter in self._parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            gradients = _gradients(self._parameters)
        return add_elastic_gradients(gradients, self._parameters, self._lists, self._l1, self._l2, by)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    """Those that there are."""
    return [gradient for gradient in map(_gradient, parameters) if gradient is not None]
