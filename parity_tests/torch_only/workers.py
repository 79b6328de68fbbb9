"""What the processes of a distributed test run; they are spawned, so this is imported anew in each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from parity_tests.torch_only.common import Net, task
from torchreg import L1, L2, GroupLasso, Regularizer, activations, params

WORLD = 2
BATCH = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def regularizer(per: Any) -> Regularizer:
    """An activation term with a ``per``, and terms of the parameters."""
    return Regularizer(
        L1(0.5).on(activations("act", per=per, layout=("sample", "feature")), name="act"),
        L2(0.1).on(params(role="kernel"), name="decay"),
        GroupLasso(0.2, groups="in").on(params(role="kernel"), name="groups"),
    )


def weights(per: str, world: int) -> dict[str, float]:
    """DDP averages gradients: what is a mean over samples stays one, a plain sum must be scaled by the processes."""
    return {"act": float(world)} if per == "batch" else {}


def loss_of(output: Tensor) -> Tensor:
    """The mean over samples, as a loss under DDP is."""
    return task(output) / len(output)


def step(model: Any, tape: Any, x: Tensor, per: str, world: int) -> dict[str, Any]:
    """One forward and backward; the loss, the activation term and the gradients."""
    model.zero_grad()
    with tape.at(weights=weights(per, world)):
        loss = loss_of(model(x))
        penalties = tape.penalties()
    total = loss + penalties.total
    total.backward()
    return {"total": total.detach(), "gradients": [_whole(p.grad) for p in model.parameters()]}


def _whole(x: Any) -> Tensor:
    return x.full_tensor() if hasattr(x, "full_tensor") else x.clone()


def _ddp(rank: int, wrapped: bool) -> dict[str, Any]:
    """Every ``per``, with the tape on the model inside or on the wrapper."""
    found = {}
    for per in ("batch", "example", "position", "element"):
        net = Net()
        model = DistributedDataParallel(net)
        with regularizer(per).attach(model if wrapped else net) as tape:
            found[per] = step(model, tape, BATCH.chunk(WORLD)[rank], per, WORLD)
        dist.all_reduce(found[per]["total"])
        found[per]["total"] /= WORLD
    return found


def _sharded(rank: int, mesh: Any) -> dict[str, Any]:
    """FSDP2: parameters are shards of tensors outside forward."""
    net = Net()
    fully_shard(net.a, mesh=mesh)
    fully_shard(net, mesh=mesh)
    with regularizer("example").attach(net) as tape:
        found = step(net, tape, BATCH.chunk(WORLD)[rank], "example", WORLD)
    dist.all_reduce(found["total"])
    found["total"] /= WORLD
    return found


def work(rank: int, folder: str) -> None:
    """One process: all cases, its results into a file."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=WORLD)
    found = {"inside": _ddp(rank, False), "wrapper": _ddp(rank, True)}
    found["sharded"] = _sharded(rank, init_device_mesh("cpu", (WORLD,)))
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
