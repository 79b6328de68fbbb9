"""Rounds: every candidate in turn, in one process, in an order that changes.

Note [Clock]
A shared machine drifts by more than the differences that matter here. So no candidate is measured to its end before
the next begins, as ``torch.utils.benchmark.Timer`` does (which also sets PyTorch to one thread): each round times one
block of calls of every candidate, in shuffled order, and the ratio is that of the medians over rounds. A block is as
many calls as take the fastest candidate 20 ms, the same number for all, between two readings of
``time.perf_counter``; on CUDA between two events, after a write over the whole of the L2 cache, one call to a block.
The device is idle when a block begins, because JAX has a stream of its own, which would overlap with that write; so the
time to launch kernels is part of a block.
The garbage collector runs between blocks and not inside them.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .results import Timing

Call = Callable[[], Any]
BLOCK = 0.02
LEAST_ROUNDS = 5


class CpuClock:
    """Seconds of a block of calls that return when their work is done."""

    def block(self, call: Call, number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            call()
        return (time.perf_counter() - start) / number

    def number(self, fastest: float) -> int:
        return max(1, math.ceil(BLOCK / max(fastest, 1e-9)))


class CudaClock:
    """Seconds between two events on an idle device, with a cold L2 cache."""

    def __init__(self) -> None:
        import torch

        size = torch.cuda.get_device_properties(0).L2_cache_size
        self.flushed = torch.empty(2 * size, dtype=torch.int8, device="cuda")

    def block(self, call: Call, number: int) -> float:
        import torch

        total = 0.0
        for _ in range(number):
            self.flushed.zero_()
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            total += start.elapsed_time(end) / 1000
        return total / number

    def number(self, fastest: float) -> int:
        return 1


@dataclass(frozen=True)
class Settings:
    """How a run measures.

    Attributes:
        seconds: the time for the rounds of one question; there are fewer rounds, but never under five, where
            ``rounds`` would take longer.
        bandwidth: bytes per second that this run measured.
    """

    device: str = "cpu"
    quick: bool = False
    rounds: int = 21
    seconds: float = 25.0
    bandwidth: float = math.nan
    shuffle: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def clock(self) -> CpuClock | CudaClock:
        return CudaClock() if self.device == "cuda" else CpuClock()


def rounds(candidates: Mapping[str, Call], settings: Settings, least_bytes: int = 0) -> list[Timing]:
    """Times every candidate in interleaved rounds; each has run twice before."""
    clock, first = settings.clock, {}
    for name, call in candidates.items():
        clock.block(call, 1)
        first[name] = clock.block(call, 1)
    number = clock.number(min(first.values()))
    each = number * sum(first.values())
    least = min(LEAST_ROUNDS, settings.rounds)
    times = max(least, min(settings.rounds, int(settings.seconds / max(each, 1e-9))))
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    order = list(candidates)
    for _ in range(times):
        settings.shuffle.shuffle(order)
        for name in order:
            with no_collection():
                seconds[name].append(clock.block(candidates[name], number))
    return [Timing(name, found, least_bytes) for name, found in seconds.items()]


@contextmanager
def no_collection() -> Any:
    """Collects no garbage inside; the youngest is collected before."""
    gc.collect(0)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
