"""The names in a model: every module and parameter under each of its dotted paths, wrappers left out of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ._spec.errors import sentence
from ._spec.layout import Layout
from ._spec.select import Candidate
from .owners import layout_of, role_of
from .stored import whole

_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
    "AveragedModel": "module",
}


@dataclass(frozen=True)
class ModuleEntry:
    """A module that can be called, with all its names."""

    candidate: Candidate
    module: nn.Module


@dataclass(frozen=True)
class ParameterEntry:
    """A parameter, with all its names; kept as its place, because the tensor there may be exchanged between reads."""

    candidate: Candidate
    owner: nn.Module
    leaf: str
    layouts: tuple[Layout | None, ...]

    def stored(self) -> Tensor:
        """As the module has it; sooner where it still holds it under its name (a parametrised one computes it)."""
        found = self.owner._parameters.get(self.leaf)
        return getattr(self.owner, self.leaf) if found is None else found

    def read(self) -> Tensor:
        return whole(self.stored())


def check_model(where: str, model: object) -> None:
    """A module that nothing has compiled yet: the code of a compiled one does not see hooks that come later."""
    if not isinstance(model, nn.Module):
        raise TypeError(sentence(where, "model", "a torch.nn.Module", type(model).__name__))
    for path, module in walk(model):
        compiled = getattr(module, "_compiled_call_impl", None) is not None
        if compiled or type(module).__name__ == "OptimizedModule":
            hint = f"Compiled at the path {path!r}: attach to the plain model first, then call torch.compile."
            raise RuntimeError(
                sentence(where, "model", "attached to before torch.compile", type(module).__name__, hint)
            )


def walk(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Every (path, module), a shared module under each of its paths, a wrapper under the path of what it wraps."""
    yield path, model
    inner = _WRAPPERS.get(type(model).__name__)
    for name, child in model._modules.items():
        if child is not None:
            yield from walk(child, path if name == inner else f"{path}.{name}" if path else name)


def modules(model: nn.Module) -> list[ModuleEntry]:
    """The modules that a pass can call, once each; ``ModuleList`` and its like are never called."""
    names: dict[int, tuple[nn.Module, list[str]]] = {}
    for path, module in walk(model):
        wraps = type(module).__name__ in _WRAPPERS
        if type(module).forward is not nn.Module.forward and not wraps:
            names.setdefault(id(module), (module, []))[1].append(path)
    return [
        ModuleEntry(Candidate(tuple(dict.fromkeys(paths)), (), type(module)), module)
        for module, paths in names.values()
    ]


def parameters(model: nn.Module) -> list[ParameterEntry]:
    """The parameters, once each; a tied one with every name, role and layout that it has."""
    owners = dict(walk(model))
    found: dict[int, tuple[nn.Module, str, dict[str, tuple[str | None, Layout | None]]]] = {}
    for path, module in walk(model):
        for leaf, parameter in module._parameters.items():
            if parameter is not None:
                name = f"{path}.{leaf}" if path else leaf
                entry = found.setdefault(id(parameter), (module, leaf, {}))
                entry[2].setdefault(name, _known(owners, path, module, leaf))
    return [
        ParameterEntry(
            Candidate(tuple(names), tuple(role for role, _ in names.values())),
            owner,
            leaf,
            tuple(layout for _, layout in names.values()),
        )
        for owner, leaf, names in found.values()
    ]


def _known(owners: dict[str, nn.Module], path: str, module: nn.Module, leaf: str) -> tuple[str | None, Layout | None]:
    """Role and layout; the original of a parametrised weight has those of the name that it computes."""
    parts = path.split(".")
    if len(parts) >= 2 and parts[-2] == "parametrizations":
        owner = owners[".".join(parts[:-2])]
        return role_of(owner, parts[-1]), layout_of(owner, parts[-1]) if leaf == "original" else None
    return role_of(module, leaf), layout_of(module, leaf)
