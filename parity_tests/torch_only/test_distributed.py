"""Two processes: the loss and the gradients of one process, for every ``per``, and for sharded parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, equal
from parity_tests.torch_only.workers import BATCH, WORLD, regularizer, step, work

PERS = ("batch", "example", "position", "element")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each process got."""
    folder: Path = tmp_path_factory.mktemp("processes")
    spawn(work, (str(folder),), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORLD)]


def _alone(per: str) -> dict[str, Any]:
    model = Net()
    with regularizer(per).attach(model) as tape:
        return step(model, tape, BATCH, per, 1)


def _same(got: dict[str, Any], expected: dict[str, Any]) -> None:
    equal(got["total"], expected["total"])
    for gradient, wanted in zip(got["gradients"], expected["gradients"], strict=True):
        equal(gradient, wanted)


@covers("data parallel", "torch")
@pytest.mark.parametrize("where", ["inside", "wrapper"])
@pytest.mark.parametrize("per", PERS)
def test_two_processes_equal_one(found: list[dict[str, Any]], per: str, where: str) -> None:
    """DDP averages gradients: means are right as they are, ``per="batch"`` with ``weights={name: world_size}``."""
    for rank in range(WORLD):
        _same(found[rank][where][per], _alone(per))


@covers("sharded parameters", "torch")
def test_sharded_parameters_equal_whole_ones(found: list[dict[str, Any]]) -> None:
    """FSDP2: penalties see all of a parameter, group norms across shards too."""
    for rank in range(WORLD):
        _same(found[rank]["sharded"], _alone("example"))
