"""The example's PyTorch half: a LeNet that knows nothing of penalties, and a loop with one line for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from _digits_data import LAYERS, LEARNING_RATE, Digits, Run, batches, count_zeros, initial_weights, percent_correct
from torch import Tensor, nn
from torch.nn import functional

from torchreg import L1, Regularizer, activations


class LeNet(nn.Module):
    """20 and 50 channels, 500 units, 10 classes."""

    def __init__(self, digits: Digits) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, digits.kernel, padding=digits.pad)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(20, 50, digits.kernel, padding=digits.pad)
        self.relu2 = nn.ReLU()
        self.fc1 = nn.Linear(digits.flat, 500)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.relu1(self.conv1(x)), 2)
        x = functional.max_pool2d(self.relu2(self.conv2(x)), 2)
        return self.fc2(self.relu3(self.fc1(x.flatten(1))))


def train(digits: Digits, strength: float, epochs: int, seed: int, on_step: Callable[[float], None]) -> Run:
    """Train one network and measure it; ``on_step`` hears every loss."""
    model = start(digits, seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    reg = Regularizer(L1(strength).on(activations("relu*"), name="sparsity"))
    losses = []
    with reg.attach(model) as tape:
        for images, labels in batches(digits, epochs, seed):
            loss = functional.cross_entropy(model(batch(images)), torch.tensor(labels).long()) + tape.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            on_step(losses[-1])
    return measure(model, digits, strength, losses)


def start(digits: Digits, seed: int) -> LeNet:
    """The network with the shared initial weights."""
    weights = initial_weights(digits, seed)
    state = {f"{name}.weight": torch.tensor(kernel) for name, (kernel, _) in weights.items()}
    state |= {f"{name}.bias": torch.tensor(bias) for name, (_, bias) in weights.items()}
    model = LeNet(digits)
    model.load_state_dict(state)
    nn.utils.convert_conv2d_weight_memory_format(model, torch.channels_last)  # for speed on a CPU
    return model


def batch(images: np.ndarray) -> Tensor:
    return torch.tensor(images)[:, None]


@torch.no_grad()
def measure(model: LeNet, digits: Digits, strength: float, losses: list[float]) -> Run:
    """Accuracy, and the zeros as the network itself shows them: nothing here goes through torchreg."""
    outputs: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: object, out: Tensor) -> None:
            outputs[name] = out.movedim(1, -1).numpy()

        return hook

    valid = percent_correct(model(batch(digits.valid.images)).numpy(), digits.valid.labels)
    handles = [getattr(model, name).register_forward_hook(keep(name)) for name in LAYERS]
    test = percent_correct(model(batch(digits.test.images)).numpy(), digits.test.labels)
    for handle in handles:
        handle.remove()
    return Run("torch", strength, losses, valid, test, *count_zeros(outputs))
