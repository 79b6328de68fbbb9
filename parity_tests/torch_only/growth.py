"""How much memory a training run gathers. ``python -m parity_tests.torch_only.growth 10000`` prints it.

RSS is that of a process of its own, so that nothing else of a test run is in it.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from torchreg import L1, L2, GroupLasso, Regularizer, activations, params


def _tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def _resident() -> int:
    """Bytes of memory that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten())


def run(steps: int, *, attached: bool) -> dict[str, float]:
    """Trains, evaluates now and then, fails now and then; what grew after the first fifth."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, x = _model(), torch.randn(4, 3, 8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    reg = Regularizer(
        L1(1e-4).on(activations(("0", "3")), name="a"),
        GroupLasso(1e-4, groups="feature").on(activations("2"), name="b"),
        L2(1e-4).on(params(role="kernel"), name="c"),
    )
    tape = reg.attach(model) if attached else None
    before, tensors = 0, 0
    for i in range(steps):
        if i == steps // 5:
            tensors, before = _tensors(), _resident()
        optimizer.zero_grad()
        if tape is None:
            output, penalties = reg.apply(model, x)
            loss = output.square().mean() + penalties.total
        else:
            loss = model(x).square().mean() + tape.penalty()
        loss.backward()
        optimizer.step()
        if i % 50 == 0:
            _disturb(model, x)
    grown = _resident() - before
    return {"tensors": _tensors() - tensors, "MiB": grown / 2**20}


def _disturb(model: nn.Module, x: Tensor) -> None:
    """A pass without gradients, and one that fails."""
    with torch.no_grad():
        model(x)
    try:
        model(x[:, :2])
    except RuntimeError:
        return
    raise AssertionError("a convolution took a wrong number of channels")


if __name__ == "__main__":
    mode = {"attached": sys.argv[2] == "attached"}
    print(run(int(sys.argv[1]), **mode))
