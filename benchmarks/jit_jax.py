"""jaxreg under ``jit`` beside the penalty written inline: run time, compile time, and what the compiler made of it."""

from __future__ import annotations

import re
import time
from typing import Any

import jax

from .jax_steps import INLINE, OURS, PLAIN, Program, check, programs
from .results import Grid, Section, Target, Timing
from .timing import Settings, no_collection, rounds

WORLDS = ("linen", "nnx")


def run(settings: Settings) -> list[Section]:
    """One section for each world."""
    return [section for world in WORLDS for section in _world(world, settings)]


def _world(world: str, settings: Settings) -> list[Section]:
    batch, width = (128, 64) if settings.quick else (4096, 512)
    found = programs(world, batch, width)
    compiling = _compile_rounds(found, settings)
    check(world, found, batch, width)
    rows = [[name, *counts(program.compiled)] for name, program in found.items()]
    where = f"value and gradients, batch {batch} × {width} wide, 4 hidden layers, float32, compiled ahead of time"
    grid = Grid("the optimised program", ["candidate", "fusions", "buffers", "temporary bytes"], rows)
    section = Section("jit", f"jaxreg under jit, {world}", where, rounds(found, settings), PLAIN, INLINE, [grid])
    build = Section("jit", f"jaxreg, {world}: trace and compile", where, compiling, PLAIN, INLINE)
    counted = {row[0]: row[1:] for row in rows}
    judged = not settings.quick
    section.targets = [
        Target(f"{world}: reg.apply ÷ inline", section.over(OURS, INLINE), "<=", 1.03, judged),
        Target(f"{world}: fusions, less those inline", counted[OURS][0] - counted[INLINE][0], "==", 0),
        Target(f"{world}: buffers, less those inline", counted[OURS][1] - counted[INLINE][1], "==", 0),
    ]
    build.targets = [Target(f"{world}: trace and compile ÷ inline", build.over(OURS, INLINE), "<=", 1.1, judged)]
    return [section, build]


def counts(compiled: Any) -> list[int]:
    """Fusions, buffers, temporary bytes. A buffer is a result of the entry computation that is no view of another."""
    text = compiled.as_text()
    entry = text[text.index("\nENTRY ") :]
    results = re.findall(r"^ +(?:ROOT )?\S+ = .*?[\])}] ([a-z][\w-]*)\(", entry, flags=re.MULTILINE)
    views = {"bitcast", "get-tuple-element", "tuple", "constant"}
    buffers = sum(kind not in views for kind in results)
    return [len(re.findall(r" fusion\(", text)), buffers, compiled.memory_analysis().temp_size_in_bytes]


def _compile_rounds(found: dict[str, Program], settings: Settings) -> list[Timing]:
    """Each candidate traced, lowered and compiled anew in every round, in changing order."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    order = list(found)
    for number in range(2 if settings.quick else 1 + settings.rounds):
        settings.shuffle.shuffle(order)
        for name in order:
            jax.clear_caches()
            with no_collection():
                start = time.perf_counter()
                found[name].compile()
                taken = time.perf_counter() - start
            if number:  # the first fills what Python and XLA keep
                seconds[name].append(taken)
    return [Timing(name, times) for name, times in seconds.items()]
