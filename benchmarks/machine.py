"""The machine of a run: versions, device, and the memory bandwidth that the other figures are held against."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
from pathlib import Path
from typing import Any

import torch

from .timing import Settings


def bandwidth(settings: Settings) -> float:
    """Bytes per second of ``a.add_(b)`` on arrays far larger than the caches: two reads and a write."""
    n = 1 << (22 if settings.quick else 26)
    a, b = torch.ones(n, device=settings.device), torch.ones(n, device=settings.device)
    clock = settings.clock
    for _ in range(2):
        clock.block(lambda: a.add_(b, alpha=0.5), 1)
    times = [clock.block(lambda: a.add_(b, alpha=0.5), 1) for _ in range(9)]
    return 3 * a.nbytes / statistics.median(times)


def describe(settings: Settings) -> dict[str, Any]:
    """What a reader must know to compare figures with others."""
    return {
        "device": torch.cuda.get_device_name() if settings.device == "cuda" else processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads of PyTorch": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": {name: _version(name) for name in ("twinreg", "torch", "jax", "jaxlib", "flax", "numpy")},
        "commit": _commit(),
        "bandwidth in GB/s": round(settings.bandwidth / 1e9, 1),
        "load before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "quick": settings.quick,
        "rounds": settings.rounds,
    }


def processor() -> str:
    """The name of the processor, and what it can do that matters most here."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
