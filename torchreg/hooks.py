"""The hook objects of a tape: what PyTorch calls before and after modules."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from . import walk
from ._spec.select import Candidate, select_modules
from ._spec.targets import ActivationsTarget
from ._spec.terms import Term
from .owners import Owner, owner_of
from .saved import Saved

if TYPE_CHECKING:
    from .capture import Tape


@dataclass(frozen=True, eq=False)
class Site:
    """One selected module of one term, under the name it was chosen by.

    ``key`` numbers the sites of a tape: dictionaries of plain integers are what compiled code guards most cheaply.
    """

    key: int
    term: int
    name: str
    target: ActivationsTarget
    owner: Owner
    saved: Saved


class Hook:
    """A hook of a tape. Its copies and pickles stay behind with the copied model, and do nothing."""

    def __init__(self, tape: Tape | None = None, sites: list[Site] | None = None) -> None:
        self.tape = tape
        self.sites = sites or []

    def __deepcopy__(self, memo: dict[int, Any]) -> Hook:
        return type(self)()

    def __reduce__(self) -> tuple[type[Hook], tuple[()]]:
        return type(self), ()

    def record(self, module: nn.Module, value: Any) -> None:
        if self.tape is not None and self.tape.recording:
            for site in self.sites:
                self.tape.record(site, module, value)


class Begin(Hook):
    def __call__(self, module: nn.Module, args: Any) -> None:
        if self.tape is not None:
            self.tape.begin(module)


class Input(Hook):
    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.record(module, {**dict(enumerate(args)), **kwargs})


class Output(Hook):
    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.record(module, output)


class Commit(Hook):
    """Called when the root returned."""

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if self.tape is not None and self.tape.recording:
            self.tape.commit()


class End(Hook):
    """Called when the root returned or raised."""

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if self.tape is not None:
            self.tape.end()


def sites(terms: tuple[Term, ...], model: nn.Module) -> list[tuple[nn.Module, list[Site]]]:
    """The chosen modules, each with all the terms that want it."""
    entries = walk.modules(model)
    candidates = [entry.candidate for entry in entries]
    found: dict[int, list[Site]] = {}
    key = 0
    for number, term in enumerate(terms):
        if isinstance(term.target, ActivationsTarget):
            for i, name in _chosen(term.target, candidates):
                module, target = entries[i].module, term.target
                saved = Saved(name, module, target.of)
                found.setdefault(i, []).append(Site(key, number, name, target, owner_of(type(module)), saved))
                key += 1
    return [(entries[i].module, of_module) for i, of_module in found.items()]


def _chosen(target: ActivationsTarget, candidates: list[Candidate]) -> tuple[tuple[int, str], ...]:
    """What a target selects; the error for nothing says what else may be meant."""
    try:
        return select_modules(target, candidates).chosen
    except LookupError as error:
        hint = "A function (such as relu) is no module: name its result with torchreg.Tap."
        raise LookupError(f"{error} {hint}") from None


class Mark:
    """What makes compiled code look at the hooks of a module.

    ``torch.compile`` guards on no hooks: code compiled for a module without them, even for another module of the same
    class, would be reused, and they would never be called. It does guard on an instance's own ``forward``, which many
    libraries patch; so while there are hooks the module has one, and it is that of its class.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        if "forward" not in vars(module) and isinstance(module.forward, MethodType):
            vars(module)["forward"] = module.forward

    def remove(self) -> None:
        hooks = (*self.module._forward_hooks.values(), *self.module._forward_pre_hooks.values())
        mark = getattr(vars(self.module).get("forward"), "__func__", None)
        if mark is type(self.module).forward and not any(isinstance(hook, Hook) for hook in hooks):
            del vars(self.module)["forward"]


def register(tape: Tape, model: nn.Module, found: list[tuple[nn.Module, list[Site]]]) -> list[RemovableHandle | Mark]:
    """Puts the hooks of a tape on a model: those of the root around those of the sites, which the root may be too."""
    handles: list[RemovableHandle | Mark] = [model.register_forward_pre_hook(Begin(tape), prepend=True)]
    for module, of_module in found:
        inputs = [site for site in of_module if site.target.of == "input"]
        outputs = [site for site in of_module if site.target.of == "output"]
        if inputs:
            handles.append(module.register_forward_pre_hook(Input(tape, inputs), with_kwargs=True))
        # Always, even for nothing: compiled code notices a later tape by one hook more of a kind that was there before.
        handles.append(module.register_forward_hook(Output(tape, outputs), prepend=_is_sharded(module)))
    handles.append(model.register_forward_hook(Commit(tape)))
    handles.append(model.register_forward_hook(End(tape), always_call=True))
    return handles + [Mark(module) for module in dict.fromkeys([model, *(module for module, _ in found)])]


def _is_sharded(module: nn.Module) -> bool:
    """Whether a module computes with shards. Its hook then comes first, before one that makes a plain local part of the
    output, in which nobody could see the rest.
    """
    return any(hasattr(parameter, "full_tensor") for parameter in module._parameters.values())


def is_nested(module: nn.Module) -> bool:
    """Whether a call of a module runs inside another call of it, as in a recursive network.

    Asked only where a call seems to be open already, because an interrupt, which runs no hook, leaves one open.
    """
    frame, calls = sys._getframe(), 0
    while frame is not None:
        calls += frame.f_code is nn.Module._call_impl.__code__ and frame.f_locals.get("self") is module
        frame = frame.f_back
    return calls > 1
