"""What the processes of a distributed test run; they are spawned, so this is imported anew in each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

from parity_tests.torch_only.common import Net, task
from torchreg import L1, L2, GroupLasso, LinfNorm, Regularizer, activations, params

WORLD = 2
PERS = ("batch", "example", "position", "element")
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
    for per in PERS:
        net = Net()
        model = DistributedDataParallel(net)
        with regularizer(per).attach(model if wrapped else net) as tape:
            found[per] = step(model, tape, BATCH.chunk(WORLD)[rank], per, WORLD)
        dist.all_reduce(found[per]["total"])
        found[per]["total"] /= WORLD
    return found


class Branched(nn.Module):
    """A net, beside which a branch runs that nothing but the penalty uses."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net()
        self.act = nn.Linear(4, 2, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        self.act(x)
        return self.net(x)


class WithPenalty(nn.Module):
    """A model that returns its penalties too, so that what wraps it knows all that the loss will use."""

    def __init__(self, reg: Regularizer, model: nn.Module) -> None:
        super().__init__()
        self.reg = reg
        self.model = model

    def forward(self, x: Tensor, **values: Any) -> Any:
        return self.reg.at(**values).apply(self.model, x)


def branched_step(per: str, world: int, x: Tensor, wrap: Any = lambda model: model) -> dict[str, Any]:
    """One step of a model whose branch only the penalty uses; it returns the penalty itself."""
    model = wrap(WithPenalty(regularizer(per), Branched()))
    output, penalties = model(x, weights=weights(per, world))
    total = loss_of(output) + penalties.total
    total.backward()
    return {"total": total.detach(), "gradients": [p.grad.clone() for p in model.parameters()]}


def _unused(rank: int) -> dict[str, Any]:
    """DDP that looks for unused parameters: a tape beside it, and a model that returns its penalty."""
    found: dict[str, Any] = {}
    x = BATCH.chunk(WORLD)[rank]
    for per in PERS:
        found[per] = branched_step(per, WORLD, x, lambda m: DistributedDataParallel(m, find_unused_parameters=True))
        model = DistributedDataParallel(Branched())
        with regularizer(per).attach(model) as tape:
            found[f"all used, {per}"] = step(model, tape, x, per, WORLD)
    for one in found.values():
        dist.all_reduce(one["total"])
        one["total"] /= WORLD
    model = DistributedDataParallel(Branched(), find_unused_parameters=True)
    with regularizer("example").attach(model) as tape:
        try:
            step(model, tape, x, "example", WORLD)
        except RuntimeError as error:
            found["error"] = str(error)
    return found


def _sharded(rank: int, mesh: Any, attach_first: bool) -> dict[str, Any]:
    """FSDP2: parameters are shards of tensors outside forward."""
    net, reg = Net(), regularizer("example")
    tape = reg.attach(net) if attach_first else None
    fully_shard(net.a, mesh=mesh)
    fully_shard(net, mesh=mesh)
    with tape or reg.attach(net) as tape:
        found = step(net, tape, BATCH.chunk(WORLD)[rank], "example", WORLD)
    dist.all_reduce(found["total"])
    found["total"] /= WORLD
    return found


ACROSS = Regularizer(
    GroupLasso(0.2, groups="feature").on(activations("a", layout=("sample", "feature")), name="features"),
    GroupLasso(0.3, groups="sample").on(activations("a", per="batch", layout=("sample", "feature")), name="samples"),
    LinfNorm(0.4).on(activations("a", layout=("sample", "feature")), name="largest"),
    GroupLasso(0.5, groups="out").on(params(role="kernel"), name="kernels"),
)
"""Groups along and across the axis that is sharded, and a norm whose gradient one shard alone has."""


def across(model: Any, tape: Any) -> dict[str, Any]:
    """One step of a model that every process runs on the whole batch."""
    output = model(BATCH)
    penalties = tape.penalties()
    total = loss_of(output) + penalties.total
    total.backward()
    return {
        "total": total.detach(),
        "gradients": [_whole(p.grad) for p in model.parameters()],
        "terms": {name: term.detach() for name, term in penalties.terms.items()},
    }


def _parallel(mesh: Any, attach_first: bool, local: bool) -> dict[str, Any]:
    """Tensor parallelism: the output of a layer is in shards, or each process gets its part as a plain tensor."""
    model = nn.Sequential()
    model.add_module("a", nn.Linear(4, 6, dtype=torch.float64))
    model.add_module("b", nn.Linear(6, 4, dtype=torch.float64))
    fill(model)
    tape = ACROSS.attach(model) if attach_first else None
    plan = {"a": ColwiseParallel(use_local_output=local), "b": RowwiseParallel()}
    parallelize_module(model, mesh, plan)  # pyright: ignore[reportArgumentType]
    with tape or ACROSS.attach(model) as tape:
        return across(model, tape)


def fill(model: nn.Module) -> None:
    """The same numbers in every process."""
    torch.manual_seed(7)
    for parameter in model.parameters():
        nn.init.normal_(parameter)


def work(rank: int, folder: str) -> None:
    """One process: all cases, its results into a file."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=WORLD)
    mesh = init_device_mesh("cpu", (WORLD,))
    found: dict[Any, Any] = {"inside": _ddp(rank, False), "wrapper": _ddp(rank, True), "unused": _unused(rank)}
    for first in (False, True):
        found["sharded", first] = _sharded(rank, mesh, first)
        for local in (False, True):
            found["parallel", first, local] = _parallel(mesh, first, local)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
