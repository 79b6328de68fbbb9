"""What it takes once: attaching to a model of ten thousand modules, reading a config of ten thousand patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from torchreg import L1, Regularizer, activations, params

from .checks import ParityError
from .results import Section, Target
from .timing import Settings, rounds

ATTACH, HOOKS = "reg.attach, detach", "by hand: register_forward_hook for each, remove"
DESCRIBE, PARAMS = "reg.attach to 10,000 parameters, detach", "reg.attach, detach: a pattern with globs"
READ, NAMES = "Regularizer.from_dict", "from_dict, attach, detach"
LIMIT = 1.0


def run(settings: Settings) -> list[Section]:
    """Both."""
    count = 2_000 if settings.quick else 10_000
    return [_modules(count, settings), _patterns(count, settings)]


def _network(count: int) -> nn.Module:
    """Blocks of ten modules, three deep."""
    blocks = [nn.Sequential(*(nn.ReLU() if i % 2 else nn.LayerNorm(1) for i in range(10))) for _ in range(count // 10)]
    return nn.Sequential(*(nn.Sequential(*blocks[i : i + 10]) for i in range(0, len(blocks), 10)))


def _attach(reg: Regularizer, model: nn.Module) -> Callable[[], Any]:
    def call() -> None:
        reg.attach(model).detach()

    return call


def _modules(count: int, settings: Settings) -> Section:
    model = _network(count)
    by_type = Regularizer(L1(1.0).on(activations(type="ReLU")))
    by_glob = Regularizer(L1(1.0).on(activations("**.[13579]")))
    weights = Regularizer(L1(1.0).on(params("**")))

    def hooks() -> None:
        relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
        for handle in [relu.register_forward_hook(lambda module, args, output: None) for relu in relus]:
            handle.remove()

    _check(by_type, model)
    calls = {HOOKS: hooks, ATTACH: _attach(by_type, model), PARAMS: _attach(by_glob, model)}
    calls[DESCRIBE] = _attach(weights, model)
    title, where = "Attaching", f"a PyTorch model of {count:,} modules and as many parameters"
    section = Section("attach", title, where, rounds(calls, settings), hand=HOOKS)
    section.targets = [
        Target(f"{name}", section.median(name), "<=", LIMIT, not settings.quick, "s")
        for name in (ATTACH, PARAMS, DESCRIBE)
    ]
    return section


def _patterns(count: int, settings: Settings) -> Section:
    model = nn.ModuleDict({f"act_{i}": nn.ReLU() for i in range(count)})
    patterns = tuple(f"act_{i}" for i in range(count))
    data = Regularizer(L1(1.0).on(activations(patterns, missing="skip"), name="all")).to_dict()
    if Regularizer.from_dict(data).to_dict() != data:
        raise ParityError("from_dict: the config must come back as it was written.")

    def whole() -> None:
        Regularizer.from_dict(data).attach(model).detach()

    calls = {READ: lambda: Regularizer.from_dict(data), NAMES: whole}
    where = f"{count:,} patterns in one target, and a model of {count:,} modules"
    section = Section("attach", "A config", where, rounds(calls, settings))
    section.targets = [
        Target(name, section.median(name), "<=", LIMIT, not settings.quick, "s") for name in (READ, NAMES)
    ]
    return section


def _check(reg: Regularizer, model: nn.Module) -> None:
    """All are heard, and none after detaching."""
    tape = reg.attach(model)
    model(torch.ones(1, 1, requires_grad=True))
    heard = len(tape.penalties().layers["L1"])
    tape.detach()
    due = sum(isinstance(module, nn.ReLU) for module in model.modules())
    if heard != due or any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        raise ParityError(f"attach: {due} modules must be heard, and none keep a hook; got {heard}.")
