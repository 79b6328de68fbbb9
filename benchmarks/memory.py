"""The peak of memory during one training step, beside that of the unpenalised one.

PyTorch's is counted from the events of its own allocator, which ``torch.profiler`` writes down (``tracemalloc`` does
not see tensors, and the highest resident set of a process never shrinks); JAX's is what the compiler planned for its
temporaries.
Only what a step allocates counts: not the parameters, the inputs and the gradients that are there before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from . import jit_jax
from .jax_steps import INLINE, OURS, PLAIN, programs
from .results import Grid, Section, Target
from .timing import Settings
from .torch_steps import APPLY, ATTACH, check, eager
from .torch_steps import PLAIN as UNPENALISED


def run(settings: Settings) -> list[Section]:
    """Both frameworks."""
    return [_torch(settings), _jax(settings)]


def peak(call: Callable[[], Any], device: str) -> int:
    """The most bytes alive at once of those that a call allocates."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    results: Any = profiler.profiler.kineto_results  # pyright: ignore[reportOptionalMemberAccess]
    events = [event for event in results.events() if event.name() == "[memory]"]
    alive = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        most = max(most, alive)
    return most


def _torch(settings: Settings) -> Section:
    batch, width = (1024, 128) if settings.quick else (4096, 512)
    steps = eager(batch, width, settings.device)
    check(steps)
    for step in steps.values():
        step()  # the first step of a tape keeps copies, and gradients are there from the second on
        step.optimizer.zero_grad()
    found = {name: peak(step, settings.device) for name, step in steps.items()}
    section = _section("PyTorch eager", f"training step, batch {batch} × {width} wide", found, UNPENALISED)
    extra = {name: 100 * (bytes_ / found[UNPENALISED] - 1) for name, bytes_ in found.items()}
    section.targets = [
        Target(f"{name}, extra peak", extra[name], "<=", 1.0, not settings.quick, "%") for name in (ATTACH, APPLY)
    ]
    return section


def _jax(settings: Settings) -> Section:
    batch, width = (128, 64) if settings.quick else (4096, 512)
    found, targets = {}, []
    for world in jit_jax.WORLDS:
        of_world = programs(world, batch, width)
        for name, program in of_world.items():
            program.compile()
            found[f"{world}, {name}"] = program.compiled.memory_analysis().temp_size_in_bytes
        plain, inline, ours = (found[f"{world}, {name}"] for name in (PLAIN, INLINE, OURS))
        judged = not settings.quick
        targets.append(Target(f"{world}: reg.apply, extra peak", 100 * (ours / plain - 1), "<=", 1.0, judged, "%"))
        targets.append(
            Target(f"{world}: reg.apply, extra over inline", 100 * (ours / inline - 1), "<=", 1.0, True, "%")
        )
    section = _section("JAX under jit", f"temporaries, batch {batch} × {width} wide", found, f"linen, {PLAIN}")
    section.targets = targets
    return section


def _section(title: str, conditions: str, found: dict[str, int], plain: str) -> Section:
    rows = [[name, number / 2**20, 100 * (number / found[plain] - 1)] for name, number in found.items()]
    grid = Grid("peak of memory", ["candidate", "MiB", "% over unpenalised"], rows)
    return Section("memory", f"Peak memory, {title}", f"{conditions}, 4 hidden layers, float32", grids=[grid])
