"""Two processes: the loss and the gradients of one process, for every ``per``, and for sharded parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import spawn

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, equal
from parity_tests.torch_only.workers import (
    ACROSS,
    BATCH,
    PERS,
    WORLD,
    across,
    branched_step,
    fill,
    regularizer,
    step,
    work,
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
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
def test_two_processes_equal_one(found: list[dict[Any, Any]], per: str, where: str) -> None:
    """DDP averages gradients: means are right as they are, ``per="batch"`` with ``weights={name: world_size}``."""
    for rank in range(WORLD):
        _same(found[rank][where][per], _alone(per))


@covers("a branch that only the penalty uses, data parallel", "torch", "RuntimeError of PyTorch: return the penalties")
@pytest.mark.parametrize("per", PERS)
def test_a_branch_that_only_the_penalty_uses(found: list[dict[Any, Any]], per: str) -> None:
    """DDP that looks for unused parameters must see the penalty in the output; without the search a tape will do."""
    alone = branched_step(per, 1, BATCH)
    for rank in range(WORLD):
        assert "Expected to mark a variable ready only once" in found[rank]["unused"]["error"]
        _same(found[rank]["unused"][per], alone)
        _same(found[rank]["unused"][f"all used, {per}"], alone)


@covers("sharded parameters", "torch")
@pytest.mark.parametrize("first", [False, True])
def test_sharded_parameters_equal_whole_ones(found: list[dict[Any, Any]], first: bool) -> None:
    """FSDP2, attached to before or after: penalties see all of a parameter, group norms across shards too."""
    for rank in range(WORLD):
        _same(found[rank]["sharded", first], _alone("example"))


@covers("sharded activations", "torch")
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_sharded_activations_equal_whole_ones(found: list[dict[Any, Any]], first: bool, local: bool) -> None:
    """Tensor parallelism, attached to before or after: groups along and across shards, and their gradients."""
    model = nn.Sequential()
    model.add_module("a", nn.Linear(4, 6, dtype=torch.float64))
    model.add_module("b", nn.Linear(6, 4, dtype=torch.float64))
    fill(model)
    with ACROSS.attach(model) as tape:
        alone = across(model, tape)
    for rank in range(WORLD):
        got = found[rank]["parallel", first, local]
        _same(got, alone)
        for name, term in alone["terms"].items():
            equal(got["terms"][name], term)
