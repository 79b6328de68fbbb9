"""Training steps of one PyTorch network, with the penalty that each way of writing it gives.

The steps of all candidates do the same work: gradients cleared, forward, loss, backward, and SGD with a learning rate
of zero, so that no candidate's weights drift away from the others'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchreg import L1, Regularizer, activations

from . import checks

STRENGTH = 1e-6
HIDDEN = 4

PLAIN, HAND, ACCURATE = "unpenalised", "by hand: OutputHook, torch.norm(out, 1)", "by hand: OutputHook, abs().sum()"
EMPTY, BARE = "floor: a hook that does nothing", "floor: a hook with abs().sum(), no gradient"
ATTACH, APPLY = "reg.attach, tape.penalty()", "reg.apply"
REG = Regularizer(L1(STRENGTH).on(activations(type="ReLU", per="batch"), name="sparsity"))


class OutputHook(list[Tensor]):
    """What people write: a list that a forward hook appends to."""

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self.append(output)


def mlp(width: int) -> nn.Sequential:
    """Four hidden layers with a ReLU each, and one more."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(HIDDEN):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, width))


@dataclass
class Step:
    """One candidate: a model and how its output and its penalty are had."""

    model: nn.Module
    forward: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0)

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        output, penalty = self.forward(self.x)
        loss = nn.functional.mse_loss(output, self.y)
        (loss if penalty is None else loss + penalty).backward()
        self.optimizer.step()

    def gradients(self) -> dict[str, Any]:
        """Of one step."""
        self()
        named = self.model.named_parameters()
        return {name: p.grad.double().cpu().numpy() for name, p in named if p.grad is not None}


def norm1(out: Tensor) -> Tensor:
    return torch.norm(out, 1)


def abs_sum(out: Tensor) -> Tensor:
    return out.abs().sum()


def by_hand(model: nn.Module, size: Callable[[Tensor], Tensor], run: Callable[[Tensor], Tensor] | None = None) -> Any:
    """The forward pass with hooks that keep outputs, and a sum over them after it."""
    hook, run = OutputHook(), run or model
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(hook)

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        output = run(x)
        penalty = STRENGTH * sum((size(out) for out in hook), torch.zeros((), device=x.device, dtype=x.dtype))
        hook.clear()
        return output, penalty

    return forward


def attached(model: nn.Module, run: Callable[[Tensor], Tensor] | None = None) -> Any:
    """The forward pass of a model that a tape hears."""
    tape, run = REG.attach(model), run or model
    return lambda x: (run(x), tape.penalty())


def applied(model: nn.Module) -> Any:
    """The forward pass through ``apply``."""

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        output, penalties = REG.apply(model, x)
        return output, penalties.total

    return forward


def hooked(model: nn.Module, see: Callable[[Tensor], object]) -> Any:
    """The forward pass of a model whose ReLUs have a hook that adds nothing to the loss: what is under any penalty."""

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        see(output)

    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(hook)
    return lambda x: (model(x), None)


def floors(first: Step) -> dict[str, Step]:
    """What no penalty of a hook can be faster than: the hook itself, and the value of L1 without its gradient."""
    ways: dict[str, Callable[[Tensor], object]] = {EMPTY: lambda x: None, BARE: lambda x: abs_sum(x.detach())}
    steps = {}
    for name, see in ways.items():
        model = mlp(first.x.shape[1]).to(first.x.device)
        steps[name] = Step(model, hooked(model, see), first.x, first.y)
    return steps


def eager(batch: int, width: int, device: str) -> dict[str, Step]:
    """The candidates without a compiler, each with a model of its own of equal weights."""
    torch.manual_seed(1)
    x, y = torch.randn(batch, width, device=device), torch.randn(batch, width, device=device)
    ways: dict[str, Callable[[nn.Module], Any]] = {
        PLAIN: lambda model: lambda x: (model(x), None),
        HAND: lambda model: by_hand(model, norm1),
        ACCURATE: lambda model: by_hand(model, abs_sum),
        ATTACH: attached,
        APPLY: applied,
    }
    steps = {}
    for name, way in ways.items():
        model = mlp(width).to(device)
        steps[name] = Step(model, way(model), x, y)
    return steps


def exact(steps: dict[str, Step]) -> tuple[float, int]:
    """The penalty by exact sums over the float32 activations, and how many they are."""
    first = next(iter(steps.values()))
    outputs, model = OutputHook(), mlp(first.x.shape[1]).to(first.x.device)
    for module in model:
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(outputs)
    with torch.no_grad():
        model(first.x)
    return STRENGTH * checks.magnitudes(out.cpu().numpy() for out in outputs), sum(out.numel() for out in outputs)


def check(steps: dict[str, Step], hand: str = ACCURATE) -> None:
    """Values against the exact sums of the float32 activations, gradients against the float64 network."""
    first, (due, n) = next(iter(steps.values())), exact(steps)
    penalised = {name: step for name, step in steps.items() if step.forward(step.x)[1] is not None}
    for name, step in penalised.items():
        penalty = step.forward(step.x)[1]
        allowed = checks.running(n) if "torch.norm" in name else checks.pairwise(n) + checks.running(HIDDEN)
        checks.value(name, _number(penalty), due, allowed)
    double = mlp(first.x.shape[1]).double().to(first.x.device)
    wide = Step(double, by_hand(double, abs_sum), first.x.double(), first.y.double()).gradients()
    reference = steps[hand].gradients()
    for name, step in penalised.items():
        checks.gradients(name, step.gradients(), reference, wide)


def off(steps: dict[str, Step]) -> dict[str, float]:
    """How far each penalty is from that of exact sums, in units of u; for those that have one."""
    values = {name: step.forward(step.x)[1] for name, step in steps.items()}
    due = exact(steps)[0]
    return {
        name: abs(_number(value) - due) / (due * checks.UNIT) for name, value in values.items() if value is not None
    }


def _number(value: Tensor | None) -> float:
    return float("nan") if value is None else value.detach().double().item()
