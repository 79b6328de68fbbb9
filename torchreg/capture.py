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
from ._spec.select import select_modules, select_params
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term, missing_mask
from .hooks import Site
from .outputs import pick
from .owners import owner_of
from .result import Penalties, Scalars, Values, assemble, bind

UNREAD_PASSES = 64


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
        self._parameters = [_parameters(term, model) for term in terms]
        sites = _sites(terms, model)
        self._sites = [site for _, found in sites for site in found]
        self.recording = self._had_gradients = False
        self._passes = 0
        self._pending: dict[Site, Tensor] = {}
        self.committed: dict[Site, Tensor] = {}
        self._handles = self._register(model, sites) if sites else []

    def _register(self, model: nn.Module, sites: list[tuple[nn.Module, list[Site]]]) -> list[Any]:
        handles = [model.register_forward_pre_hook(hooks.Begin(self), prepend=True)]
        for module, found in sites:
            inputs = [site for site in found if site.target.of == "input"]
            outputs = [site for site in found if site.target.of == "output"]
            if inputs:
                handles.append(module.register_forward_pre_hook(hooks.Input(self, inputs), with_kwargs=True))
            if outputs:
                handles.append(module.register_forward_hook(hooks.Output(self, outputs)))
        handles.append(model.register_forward_hook(hooks.Commit(self)))
        return handles

    def penalty(self) -> Tensor:
        """The total of all passes since the last read, to be added to the loss; reads and clears.

        Raises:
            RuntimeError: there was no pass with gradients enabled, or a selected module did not run in any.
        """
        return self.penalties().total

    def penalties(self) -> Penalties:
        """As :meth:`penalty`, with the parts."""
        self._check_complete()
        scalars: list[Scalars] = [{} for _ in self._terms]
        for site, value in self.committed.items():
            scalars[site.term][site.name] = value
        for i, (term, entries) in enumerate(zip(self._terms, self._parameters, strict=True)):
            if isinstance(term.target, ParamsTarget):
                scalars[i] = measure.parameters(term, term.target, entries)
        result = assemble(self._terms, scalars, self._values)
        self.committed, self._passes = {}, 0
        return result

    def detach(self) -> None:
        """Removes every hook; the model is as it was."""
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

    def begin(self) -> None:
        self._had_gradients = torch.is_grad_enabled()
        self.recording = self._always or self._had_gradients
        self._pending = {}

    def record(self, site: Site, module: nn.Module, value: Any) -> None:
        if self._had_gradients and not torch.is_grad_enabled():
            raise RuntimeError(_lost_gradient(site.name))
        owner, index = owner_of(type(module)), site.target.index
        primary = owner.primary if site.target.of == "output" else 0
        x = pick(site.name, site.target.of, value, index, owner.primary if site.target.of == "output" else None)
        layout = owner.output_layout(module, x.ndim) if index in (None, primary) else None
        term, mask = self._terms[site.term], None
        if site.target.mask is not None:
            if site.target.mask not in self._values.masks:
                raise ValueError(missing_mask(term, site.target.mask))
            mask = self._values.masks[site.target.mask]
        with _outside_checkpoints():
            scalar = measure.activation(term, site.target, site.name, x, layout, mask)
        earlier = self._pending.get(site)
        self._pending[site] = scalar if earlier is None else earlier + scalar

    def commit(self) -> None:
        self.recording = False
        self._passes += 1
        if self._passes >= UNREAD_PASSES:
            raise RuntimeError(_unread())
        for site, value in self._pending.items():
            earlier = self.committed.get(site)
            self.committed[site] = value if earlier is None else earlier + value
        self._pending = {}

    def _check_complete(self) -> None:
        if self._sites and not self._passes:
            hint = "Call the model with gradients enabled first; a model compiled before attach never tells."
            raise RuntimeError(sentence("Tape.penalty", "a pass", "made since the last read", "none", hint))
        silent = [s.name for s in self._sites if s.target.missing == "error" and s not in self.committed]
        if silent:
            hint = (
                "A functional call (such as torch.nn.functional.relu, or an attention's out_proj) runs no module: name "
                "the tensor with torchreg.Tap; where the model may skip it, use missing='skip'."
            )
            expected = "modules that ran in a pass since the last read"
            raise RuntimeError(sentence("Tape.penalty", "activations", expected, tuple(silent[:5]), hint))


def run(
    terms: tuple[Term, ...], values: Values, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Penalties]:
    """One pass with a tape of its own, which records whether or not gradients are enabled."""
    tape = Tape(terms, model, always=True, values=values)
    with tape:
        output = model(*args, **kwargs)
        return output, tape.penalties()


def _parameters(term: Term, model: nn.Module) -> dict[str, walk.ParameterEntry]:
    """The chosen parameters of a term, each under the name it was chosen by."""
    if not isinstance(term.target, ParamsTarget):
        return {}
    entries = walk.parameters(model)
    chosen = select_params(term.target, [entry.candidate for entry in entries]).chosen
    return {name: entries[i] for i, name in chosen}


def _sites(terms: tuple[Term, ...], model: nn.Module) -> list[tuple[nn.Module, list[Site]]]:
    """The chosen modules, each with all the terms that want it."""
    entries = walk.modules(model)
    candidates = [entry.candidate for entry in entries]
    sites: dict[int, list[Site]] = {}
    for number, term in enumerate(terms):
        if isinstance(term.target, ActivationsTarget):
            for i, name in select_modules(term.target, candidates).chosen:
                sites.setdefault(i, []).append(Site(number, name, term.target))
    return [(entries[i].module, found) for i, found in sites.items()]


@contextmanager
def _outside_checkpoints() -> Iterator[None]:
    """Keeps what the penalty saves for backward out of the hands of activation checkpointing, which would otherwise
    find the recomputation, in which no penalty is computed, different. Under compile there is nothing to keep out.
    """
    if torch.compiler.is_compiling():
        yield
    else:
        with torch.autograd.graph.saved_tensors_hooks(_same, _same):
            yield


def _same(x: Tensor) -> Tensor:
    return x


def _lost_gradient(name: str) -> str:
    hint = "Use checkpoint(..., use_reentrant=False), or torchreg.inject, or move the module out of no_grad."
    expected = f"enabled at {name!r}, because they were when the pass began"
    return sentence("activations", "gradients", expected, "disabled", hint)


def _unread() -> str:
    hint = "Call tape.penalty() after each step, or tape.detach()."
    return sentence("Tape", "passes", f"fewer than {UNREAD_PASSES} between two reads", UNREAD_PASSES, hint)
