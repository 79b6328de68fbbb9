"""What the tests share: a small model, the plain sum of its activations, and gradients as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import torchreg
from torchreg.outputs import leaves

X = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, act: nn.Module | None = None, *, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.a = nn.Linear(4, 5, dtype=dtype)
        self.act = act or nn.Tanh()
        self.b = nn.Linear(5, 3, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.act(self.a(x)))


def l1_of(pattern: Any = "act", **target: Any) -> torchreg.Regularizer:
    """The plain sum of absolute values of activations, so that every call adds what it is."""
    return torchreg.Regularizer(torchreg.L1(1.0).on(torchreg.activations(pattern, per="batch", **target), name="s"))


def l1(x: Tensor) -> Tensor:
    """The sum of absolute values."""
    return x.abs().sum()


def gradients(model: nn.Module, loss: Tensor) -> Tensor:
    """The gradient of a loss, all parameters in one vector; zeros where there is none."""
    model.zero_grad()
    loss.backward()
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in model.parameters()])


def equal(got: Tensor, expected: Tensor) -> None:
    """Equal to float64 rounding."""
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def proven(
    model: nn.Module, reg: torchreg.Regularizer, plain: Callable[[], tuple[Tensor, Tensor]], *args: Any, **kwargs: Any
) -> None:
    """``apply``, and three steps of a tape, give the value and the gradients of the loss and penalty of ``plain``."""
    loss, penalty = plain()
    value, gradient = penalty.detach(), gradients(model, loss + penalty)
    output, penalties = reg.apply(model, *args, **kwargs)
    equal(penalties.total.detach(), value)
    equal(gradients(model, task(output) + penalties.total), gradient)
    with reg.attach(model) as tape:
        for _ in range(3):
            loss = task(model(*args, **kwargs))
            total = tape.penalty()
            equal(total.detach(), value)
            equal(gradients(model, loss + total), gradient)


def task(output: Any) -> Tensor:
    """A loss of the first array of an output."""
    return next(x for _, x in leaves(output)).square().sum()
