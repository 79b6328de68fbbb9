"""Capture through forward hooks, which ``hooks.py`` holds; nothing else touches them.

A pass is one call of the root module. Hooks turn what they see into scalars at once, so that no activation is kept and
nothing that is written over later can change a penalty; the scalars of a pass count when the root returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from . import hooks, measure, walk
from ._spec.errors import sentence
from ._spec.layout import Layout
from ._spec.select import select_params
from ._spec.targets import ParamsTarget
from ._spec.terms import Term, missing_mask
from .hooks import Site
from .lost import UNREAD_PASSES, check_mapped, check_whole, in_backward, lost_gradient, shed, unread, vmaps
from .outputs import main, pick
from .result import Found, Penalties, Values, apart, assemble, bind, factor, times, total
from .saved import Watch
from .stored import check_padded, whole


class Tap(nn.Module):
    """The identity, as a module: names a tensor that no module outputs, so that a target can select it.

    >>> import torch
    >>> Tap()(torch.ones(2))
    tensor([1., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        return x


class Tape:
    """What ``Regularizer.attach`` returns: hears every pass of a model and tells its penalties when asked.

    Also a context manager that detaches at its end. One tape serves one model in one thread.
    """

    def __init__(
        self, terms: tuple[Term, ...], model: nn.Module, *, always: bool = False, values: Values | None = None
    ):
        walk.check_model("Regularizer.attach" if not always else "Regularizer.apply", model)
        self._terms = terms
        self._values = values or Values()
        self._always = always
        self._parameters = _parameters(terms, model)
        self._heard = [measure.heard(term) for term in terms]
        sites = hooks.sites(terms, model)
        self._sites = [site for _, found in sites for site in found]
        self.recording = self._had_gradients = False
        self._depth = self._passes = self._vmaps = 0
        self._pending: dict[int, Tensor] = {}
        self._committed: dict[int, Tensor] = {}
        self._watches: list[Watch] = []
        self._handles = hooks.register(self, model, sites) if sites else []

    def penalty(self) -> Tensor:
        """The total of all passes since the last read, to be added to the loss; reads and clears.

        Raises:
            RuntimeError: there was no pass with gradients enabled, or a selected module did not run in any.
        """
        return total(*self._read())

    def penalties(self) -> Penalties:
        """As :meth:`penalty`, with the parts."""
        return assemble(self._terms, *self._read())

    def detach(self) -> None:
        """Removes every hook; the model is as it was. A second time it does nothing."""
        self._settle()
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @contextmanager
    def at(
        self,
        *,
        step: Any = None,
        weights: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        axis_name: Any = None,
    ) -> Iterator[Tape]:
        """Binds run-time values, as ``Regularizer.at`` does, for the passes and the read inside the ``with``."""
        before = self._values
        self._values = bind(self._terms, step, weights, masks, axis_name)
        try:
            yield self
        finally:
            self._values = before

    def __enter__(self) -> Tape:
        return self

    def __exit__(self, *exception: object) -> None:
        self.detach()

    def begin(self, root: nn.Module) -> None:
        check_whole(root)
        if self._depth and not hooks.is_nested(root):
            self._depth = 0
        self._depth += 1
        if self._depth == 1:
            self._settle()
            self._pending = {}
            self._had_gradients, self._vmaps = torch.is_grad_enabled(), vmaps()
            self.recording = self._always or (self._had_gradients and not in_backward())

    def record(self, site: Site, module: nn.Module, value: Any) -> None:
        if self._had_gradients and not torch.is_grad_enabled():
            raise RuntimeError(lost_gradient(site.name))
        if vmaps() != self._vmaps:
            check_mapped(site.name)
        target = site.target
        if type(value) is Tensor and target.index is None and value.is_floating_point() and not value.is_nested:
            x, layout = value, site.owner.output_layout(module, value.ndim)  # nothing to choose: what most modules give
        else:
            x, layout = _chosen(site, module, value)
        mask = None if target.mask is None else self._mask(self._terms[site.term], target.mask)
        with site.saved.saving():
            x = site.saved.protect(x, self._watches)
            scalar = measure.activation(self._heard[site.term], target, site.name, x, layout, mask)
            earlier = self._pending.get(site.key)
            self._pending[site.key] = scalar if earlier is None else earlier + scalar

    def commit(self) -> None:
        if self._depth > 1:
            return
        self._passes += 1
        if self._passes >= UNREAD_PASSES:
            raise RuntimeError(unread())
        for key, value in self._pending.items():
            earlier = self._committed.get(key)
            self._committed[key] = shed(value) if earlier is None else earlier + value
        self.recording = False

    def end(self) -> None:
        self._depth = max(self._depth - 1, 0)
        if self._depth == 0:
            if self.recording:  # the root raised: nothing of this pass counts, and nothing of it stays
                self._watches = []
            self.recording = False
            self._pending = {}

    def _read(self) -> tuple[list[Found], list[Any]]:
        """The penalties of every term, and the factors of the terms."""
        self._settle()
        committed = self._complete()
        heard: list[dict[str, Tensor]] = [{} for _ in self._terms]
        for site in self._sites:
            if site.key in committed:
                heard[site.term][site.name] = committed[site.key]
        found = [
            measure.parameters(term, term.target, entries) if isinstance(term.target, ParamsTarget) else apart(scalars)
            for term, entries, scalars in zip(self._terms, self._parameters, heard, strict=True)
        ]
        numbers = [one.number for one in self._heard]
        factors = [times(factor(t, self._values), number) for t, number in zip(self._terms, numbers, strict=True)]
        self._clear()
        return found, factors

    def _mask(self, term: Term, name: str) -> Any:
        if name not in self._values.masks:
            raise ValueError(missing_mask(term, name))
        return self._values.masks[name]

    def _settle(self) -> None:
        if self._watches:
            for watch in self._watches:
                watch.settle()
            self._watches = []

    def _clear(self) -> None:
        self._committed, self._passes = {}, 0

    def _complete(self) -> dict[int, Tensor]:
        """What the passes left; where it is not all that was selected, it is dropped, lest the next read adds it."""
        if self._sites and not self._passes:
            hint = "Call the model itself, with gradients enabled, first; attach before torch.compile."
            raise RuntimeError(sentence("Tape.penalty", "a pass", "made since the last read", "none", hint))
        committed = self._committed
        silent = [s.name for s in self._sites if s.target.missing == "error" and s.key not in committed]
        if silent:
            self._clear()
            hint = (
                "A functional call (such as torch.nn.functional.relu, or an attention's out_proj) runs no module: name "
                "the tensor with torchreg.Tap. Where the model may skip it, use missing='skip'. Attach before "
                "torch.compile."
            )
            expected = "modules that ran in a pass since the last read"
            raise RuntimeError(sentence("Tape.penalty", "activations", expected, tuple(silent[:5]), hint))
        return committed


def run(
    terms: tuple[Term, ...], values: Values, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Penalties]:
    """One pass with a tape of its own, which records whether or not gradients are enabled."""
    tape = Tape(terms, model, always=True, values=values)
    with tape:
        output = model(*args, **kwargs)
        return output, tape.penalties()


def _chosen(site: Site, module: nn.Module, value: Any) -> tuple[Tensor, Layout | None]:
    """The one array that a target means, and its native axes where the table of owners knows them."""
    target, primary = site.target, site.owner.primary if site.target.of == "output" else None
    x = pick(site.name, target.of, value, target.index, primary)
    known = target.index is None or x is main(value, primary if target.of == "output" else next(iter(value), None))
    x = whole(x)
    if target.layout is None:
        check_padded(site.name, target.of, value, x)
    return x, site.owner.output_layout(module, x.ndim) if known else None


def _parameters(terms: tuple[Term, ...], model: nn.Module) -> list[dict[str, walk.ParameterEntry]]:
    """The chosen parameters of every term, each under the name it was chosen by; none for an activation term."""
    targets = [term.target if isinstance(term.target, ParamsTarget) else None for term in terms]
    entries = walk.parameters(model) if any(targets) else []
    candidates = [entry.candidate for entry in entries]
    return [
        {name: entries[i] for i, name in select_params(target, candidates).chosen} if target else {}
        for target in targets
    ]
