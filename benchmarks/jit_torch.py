"""The training step of the wide network under ``torch.compile`` (inductor): time, graph breaks, compilations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch._dynamo.utils import counters

from .checks import ParityError
from .results import Grid, Section, Target
from .timing import Settings, rounds
from .torch_steps import ACCURATE, ATTACH, HAND, PLAIN, Step, abs_sum, attached, by_hand, check, mlp, norm1, off

WHOLE = "by hand: abs().sum(), in one compiled function"
WARM_STEPS = 4


def run(settings: Settings) -> list[Section]:
    """One section."""
    batch, width = (256, 64) if settings.quick else (4096, 512)
    torch.manual_seed(1)
    x, y = torch.randn(batch, width, device=settings.device), torch.randn(batch, width, device=settings.device)
    steps, rows = {}, []
    for name, way in _ways(settings).items():
        steps[name], row = _compiled(way, x, y, settings)
        rows.append([name, *row])
    notes = _left_out(steps)
    check(steps, hand=WHOLE)
    section = Section(
        "jit",
        "PyTorch compiled (inductor): L1 on 4 ReLUs of an MLP",
        f"training step, batch {batch} × {width} wide, 4 hidden layers, float32, SGD; the model is compiled",
        rounds(steps, settings),
        PLAIN,
        HAND if HAND in steps else WHOLE,
        [
            Grid("compilation", ["candidate", "graphs", "graph breaks", "frames compiled"], rows),
            Grid("distance from exact sums", ["candidate", "error / u"], [[n, e] for n, e in off(steps).items()]),
        ],
        notes=notes,
    )
    counted = {row[0]: row[1:] for row in rows}
    section.targets = [
        Target("reg.attach, compiled ÷ unpenalised", section.over(ATTACH, PLAIN), "<=", 1.02, not settings.quick),
        Target("graph breaks", counted[ATTACH][1], "==", 0),
        Target("frames compiled, less those of the plain model", counted[ATTACH][2] - counted[PLAIN][2], "==", 0),
    ]
    return [section]


def _left_out(steps: dict[str, Step]) -> list[str]:
    """Takes away what is written by hand and computes something else when compiled; says what."""
    notes = []
    for name in [name for name in (HAND, ACCURATE) if name in steps]:
        try:
            check({key: steps[key] for key in (PLAIN, WHOLE, name)}, hand=WHOLE)
        except ParityError as error:
            notes.append(f"Not timed, because its numbers are others. {error}")
            del steps[name]
    return notes


def _ways(settings: Settings) -> dict[str, Callable[[nn.Module], Any]]:
    def plain(model: nn.Module) -> Any:
        run = torch.compile(model)
        return lambda x: (run(x), None)

    def tape(model: nn.Module) -> Any:
        forward = attached(model, lambda x: run(x))  # attached before it is compiled
        run = torch.compile(model)
        return forward

    def hooked(model: nn.Module, size: Any) -> Any:
        return by_hand(model, size, torch.compile(model))

    ways = {PLAIN: plain, WHOLE: lambda model: torch.compile(by_hand(model, abs_sum)), ATTACH: tape}
    if not settings.quick:
        ways |= {HAND: lambda model: hooked(model, norm1), ACCURATE: lambda model: hooked(model, abs_sum)}
    return ways


def _compiled(way: Any, x: torch.Tensor, y: torch.Tensor, settings: Settings) -> tuple[Step, list[int]]:
    """A step that has run, and what it took the compiler: graphs, breaks, frames."""
    torch._dynamo.reset()
    counters.clear()
    model = mlp(x.shape[1]).to(settings.device)
    step = Step(model, way(model), x, y)
    for _ in range(WARM_STEPS):
        step()
    breaks = sum(counters["graph_break"].values())
    return step, [counters["stats"]["unique_graphs"], breaks, counters["frames"]["ok"]]
