"""What L1 over all parameters costs, value and gradient, beside one pass that reads and writes the gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import _foreach_add_, _foreach_sign, nn  # pyright: ignore[reportPrivateImportUsage]

from torchreg import L1, Regularizer, add_penalty_gradients, params

from . import checks
from .results import Section, Target
from .timing import Settings, rounds

STRENGTH = 1e-6
PASS = "one pass: grad.add_(p, alpha) for every p"
HAND = "by hand: sum(p.abs().sum()), backward"
SIGNS = "by hand: grad.add_(p.sign(), alpha), no value"
FOREACH = "by hand: torch._foreach_sign, _foreach_add_, no value"
TAPE, STEP = "reg.attach, tape.penalty(), backward", "add_penalty_gradients, total read"
REG = Regularizer(L1(STRENGTH).on(params("**"), name="l1"))


class Idle(torch.optim.Optimizer):
    """An optimizer whose step does nothing, so that what is timed is the hook before it."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


class Block(nn.Module):
    """The parameters of one block of GPT-2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.c_proj_2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)


class Gpt2(nn.Module):
    """The parameters of GPT-2 small, by shape: 148 arrays with 12 blocks; nothing is ever run."""

    def __init__(self, tokens: int, positions: int, width: int, blocks: int) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(tokens, width), nn.Embedding(positions, width)
        self.h = nn.ModuleList(Block(width) for _ in range(blocks))
        self.ln_f = nn.LayerNorm(width)


def run(settings: Settings) -> list[Section]:
    """One large model, and many small arrays."""
    return [large(settings), many(settings)]


def large(settings: Settings) -> Section:
    """124 million parameters: memory dominates."""
    torch.manual_seed(0)
    model = Gpt2(4096, 256, 256, 2) if settings.quick else Gpt2(50257, 1024, 768, 12)
    section = _section("L1 over the parameters of GPT-2 small", model, settings)
    judged = not settings.quick
    section.targets = [
        Target("tape.penalty(), backward ÷ by hand", section.over(TAPE, HAND), "<=", 1.0, judged),
        Target("add_penalty_gradients ÷ one pass", section.over(STEP, PASS), "<=", 2.2, judged),
    ]
    return section


def many(settings: Settings) -> Section:
    """Two hundred arrays of 64 × 64 and of 64: Python and the calls of operations dominate."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(64, 64) for _ in range(100)))
    section = _section("L1 over 200 small parameters", model, settings)
    section.targets = [
        Target("add_penalty_gradients ÷ one pass", section.over(STEP, PASS), "<=", 2.5, not settings.quick)
    ]
    return section


def _section(title: str, model: nn.Module, settings: Settings) -> Section:
    model = model.to(settings.device)
    for p in model.parameters():
        nn.init.normal_(p, std=0.02)
        p.grad = torch.randn_like(p) * 1e-3
    named = dict(model.named_parameters())
    n = sum(p.numel() for p in named.values())
    candidates = _candidates(model)
    for name, call in candidates.items():
        if name != PASS:
            _check(name, call, named)
    conditions = (
        f"{len(named)} arrays, {n:,} parameters, float32; value and gradient, added to gradients that are there"
    )
    notes = ["Bytes: parameters and gradients read and gradients written, once. Code without a value has less to do."]
    timings = rounds(candidates, settings, 3 * 4 * n)
    return Section("params", title, conditions, timings, PASS, HAND, notes=notes)


def _candidates(model: nn.Module) -> dict[str, Callable[[], Any]]:
    every = list(model.parameters())
    tape, idle = REG.attach(model), Idle(every)
    handle = add_penalty_gradients(idle, REG, model)

    def one_pass() -> None:
        for p in every:
            p.grad.add_(p.detach(), alpha=1e-9)  # pyright: ignore[reportOptionalMemberAccess]

    def hand() -> Any:
        value = STRENGTH * sum((p.abs().sum() for p in every), torch.zeros((), device=every[0].device))
        value.backward()
        return value

    @torch.no_grad()
    def signs() -> None:
        for p in every:
            p.grad.add_(p.sign(), alpha=STRENGTH)  # pyright: ignore[reportOptionalMemberAccess]

    @torch.no_grad()
    def foreach() -> None:
        slopes = [p.grad for p in every if p.grad is not None]
        _foreach_add_(slopes, _foreach_sign(tuple(every)), alpha=STRENGTH)

    def taped() -> Any:
        value = tape.penalty()
        value.backward()
        return value

    def step() -> Any:
        idle.step()
        return handle.penalty

    return {PASS: one_pass, HAND: hand, SIGNS: signs, FOREACH: foreach, TAPE: taped, STEP: step}


def _check(name: str, call: Callable[[], Any], named: dict[str, nn.Parameter]) -> None:
    before = {key: p.grad.cpu().numpy().copy() for key, p in named.items() if p.grad is not None}
    value = call()
    arrays = {key: p.detach().cpu().numpy() for key, p in named.items()}
    if value is not None:
        due = STRENGTH * checks.magnitudes(arrays.values())
        checks.value(
            name, value.item(), due, checks.pairwise(sum(x.size for x in arrays.values())) + checks.running(len(arrays))
        )
    for key, x in arrays.items():
        slope = STRENGTH * (x > 0) - STRENGTH * (x < 0)
        checks.added(f"{name}, {key}", named[key].grad.cpu().numpy(), before[key], slope)  # pyright: ignore
