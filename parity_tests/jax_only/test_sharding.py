"""A batch over eight devices gives the loss and gradients of one device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from parity_tests.capture_table import covers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """What every case gives, from a process that has eight devices."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, "-m", "parity_tests.jax_only.sharded"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(line) for line in done.stdout.splitlines())


@covers("data parallel", "linen")
@covers("data parallel", "nnx")
@pytest.mark.parametrize(
    ("world", "per"),
    [*(("linen", per) for per in ("batch", "example", "position", "element")), ("nnx", "example")],
)
@pytest.mark.parametrize("how", ["gradient of shard_map", "gradient in shard_map", "NamedSharding"])
def test_eight_devices_equal_one(found: dict[str, float], world: str, per: str, how: str) -> None:
    """Loss and gradients within 1e-12, with and without masks that keep a different share of every shard."""
    for masked in ("", " masked"):
        assert found[f"{world} {per}{masked} {how}"] <= 1e-12


def test_a_penalty_leaves_a_batch_where_it_is(found: dict[str, float]) -> None:
    """Sums are exchanged between devices, the batch is not."""
    moves = {name: number for name, number in found.items() if name.startswith("moves")}
    assert len(moves) == 4
    assert not any(moves.values()), moves
