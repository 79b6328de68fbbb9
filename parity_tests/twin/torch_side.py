"""The PyTorch side: a copy of the model in the dtype of the comparison, run on its own batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchreg._spec.errors import sentence

from .rules_recurrent import parts
from .sides import Inputs, converted, leaves
from .traces import Call, Layer, Pass, Trace, numbers

Loss = Callable[[Any], Any]
Objective = Callable[[], tuple[Tensor, Any]]
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _array(value: np.ndarray) -> Tensor:
    return torch.from_numpy(value.copy())


def _arrays(value: Any) -> list[Tensor]:
    return leaves(value, lambda item: isinstance(item, Tensor))


class TorchSide:
    """A torch model as the comparison sees it."""

    name = "torch"

    def __init__(self, model: nn.Module, batch: Inputs, dtype: str, train: bool, select: Loss | None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(sentence("compare", "torch_model", "a torch.nn.Module", type(model)))
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.model = copy.deepcopy(model).to(device="cpu", dtype=self.dtype).train(train).requires_grad_(True)
        self.args = converted(batch.args, dtype, _array)
        self.kwargs = converted(batch.kwargs, dtype, _array)
        self._select = select
        if train:
            self._refuse_dropout()

    def _refuse_dropout(self) -> None:
        for name, module in self.model.named_modules():
            rate = module.p if isinstance(module, _DROPOUTS) else getattr(module, "dropout", 0.0)
            if isinstance(rate, float) and rate > 0:
                expected = "0 where train=True, because the frameworks' random numbers differ"
                raise ValueError(sentence("compare", f"the dropout of {name or '(root)'}", expected, rate))

    def arrays(self) -> dict[str, np.ndarray]:
        """Parameters and persistent buffers by name; a tied one under its first name only."""
        kept = self.model.state_dict(keep_vars=True)
        named = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        return {name: _numpy(value) for name, value in named.items() if name in kept}

    def trainable(self) -> set[str]:
        """The names of the parameters."""
        return {name for name, _ in self.model.named_parameters()}

    def tied(self) -> dict[str, str]:
        """Every further name of a tied parameter, with its first."""
        first = {id(value): name for name, value in self.model.named_parameters()}
        every = self.model.named_parameters(remove_duplicate=False)
        return {name: first[id(value)] for name, value in every if first[id(value)] != name}

    def layers(self) -> list[Layer]:
        """Every module, each layer and direction of a recurrent one by itself."""
        found: list[Layer] = []
        for name, module in self.model.named_modules():
            if isinstance(module, nn.RNNBase):
                found += [
                    Layer(name, part, type(module), part.label, lambda leaf, part=part: leaf.endswith(part.suffix))
                    for part in parts(module)
                ]
            else:
                found.append(Layer(name, module, type(module)))
        return found

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Puts arrays by name into the copy."""
        named = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        with torch.no_grad():
            for name, array in arrays.items():
                named[name].copy_(_array(array))

    def selected(self, output: Any) -> list[Any]:
        """The floating tensors that are compared."""
        chosen = output if self._select is None else self._select(output)
        return [tensor for tensor in _arrays(chosen) if tensor.is_floating_point()]

    def trace(self) -> Trace:
        """One pass, every module watched; gradients stay enabled, so that no fused fast path is taken."""
        trace = Trace(modules=dict(self.model.named_modules()))
        names = {module: name for name, module in self.model.named_modules()}

        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            trace.calls.setdefault(names[module], [])
            inner = _arrays((args, kwargs))
            pending.append(_numpy(inner[0]) if inner else None)

        def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            floating = [tensor for tensor in _arrays(output) if tensor.is_floating_point()]
            made = _numpy(floating[0]) if floating else None
            trace.calls[names[module]].append(Call(pending.pop(), made))

        pending: list[np.ndarray | None] = []
        handles = [hook for module in names for hook in _hooks(module, before, after)]
        try:
            output = self._call(None)[0]
        finally:
            for handle in handles:
                handle.remove()
        trace.outputs = [_numpy(tensor) for tensor in self.selected(output)]
        return trace

    def _call(self, regularizer: Any) -> tuple[Any, Any]:
        if regularizer is None:
            return self.model(*self.args, **self.kwargs), None
        return regularizer.apply(self.model, *self.args, **self.kwargs)

    def objective(self, regularizer: Any, loss: Loss | None) -> Objective:
        """Loss and penalties for the parameters that the model holds when it is called."""

        def objective() -> tuple[Tensor, Any]:
            output, penalties = self._call(regularizer)
            task = default_loss(self.selected(output)) if loss is None else loss(output)
            return task if penalties is None else task + penalties.total, penalties

        return objective

    def run(self, objective: Objective) -> Pass:
        """Loss, penalties and the gradient of every parameter."""
        value, penalties = objective()
        named = dict(self.model.named_parameters())
        slopes = torch.autograd.grad(value, list(named.values()), allow_unused=True)
        gradients = {
            name: np.zeros(tuple(parameter.shape)) if slope is None else _numpy(slope)
            for (name, parameter), slope in zip(named.items(), slopes, strict=True)
        }
        return Pass(value.item(), *numbers(penalties), gradients)

    def train(
        self, objective: Objective, optimizer: str, rate: float, steps: int, held: dict[str, np.ndarray]
    ) -> list[float]:
        """The loss before each step and after the last; ``held`` are factors of gradients, 0 where nothing moves."""
        kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer]
        moving = kind(self.model.parameters(), lr=rate, foreach=False)
        factors = {name: _array(factor).to(self.dtype) for name, factor in held.items()}
        losses: list[float] = []
        for _ in range(steps):
            moving.zero_grad()
            value, _ = objective()
            value.backward()
            losses.append(value.item())
            for name, parameter in self.model.named_parameters():
                if name in factors and parameter.grad is not None:
                    parameter.grad.mul_(factors[name])
            moving.step()
        return [*losses, objective()[0].item()]


def _hooks(module: nn.Module, before: Any, after: Any) -> Iterator[Any]:
    yield module.register_forward_pre_hook(before, with_kwargs=True)
    yield module.register_forward_hook(after, with_kwargs=True)


def default_loss(outputs: list[Tensor]) -> Tensor:
    """½ mean (y − cos k)² of each array, k the number of the element: bounded below, and no element is like another."""
    losses = []
    for y in outputs:
        target = np.cos(np.arange(y.numel())).reshape(tuple(y.shape))
        losses.append(0.5 * ((y - _array(target).to(y.dtype)) ** 2).mean())
    return torch.stack(losses).sum()
