"""The oracle of a network: loss, penalties and every gradient in float64, forward and backward by hand.

Each layer is a function from its input and weights to its output and the way back. The way back takes the gradient of
the output, leaves the gradients of its weights, and returns that of its input. Images are ``sample, p0, p1, feature``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from parity_tests.models.networks import Layer, Network, Weights
from parity_tests.models.terms import Measured, TermSpec, measure
from parity_tests.precision import Array

Masks = dict[str, np.ndarray]
Back = Callable[[Array, Weights], Array]
EPSILON = 1e-5  # of the normalisation, the default of all three worlds


@dataclass
class Outcome:
    """What a world gives for a network under a regularizer; every array in the canonical layout."""

    loss: float
    total: float
    terms: dict[str, float]
    layers: dict[str, dict[str, float]]
    gradients: Weights = field(default_factory=dict)


def linear(name: str, x: Array, w: Weights) -> tuple[Array, Back]:
    """y = x Wᵀ + b."""
    kernel, bias = w[f"{name}.kernel"], w[f"{name}.bias"]

    def back(dy: Array, gradients: Weights) -> Array:
        gradients[f"{name}.kernel"] = dy.T @ x
        gradients[f"{name}.bias"] = dy.sum(0)
        return dy @ kernel

    return x @ kernel.T + bias, back


def conv(name: str, x: Array, w: Weights) -> tuple[Array, Back]:
    """Cross-correlation with a border of zeros that keeps the size: a shifted product for each place in the kernel."""
    kernel, bias = w[f"{name}.kernel"], w[f"{name}.bias"]
    height, width = x.shape[1:3]
    places = list(np.ndindex(kernel.shape[2:]))
    padded = np.pad(x, [(0, 0), *((size // 2, size // 2) for size in kernel.shape[2:]), (0, 0)])
    y = np.zeros((*x.shape[:3], kernel.shape[0])) + bias
    for a, b in places:
        y += padded[:, a : a + height, b : b + width] @ kernel[:, :, a, b].T

    def back(dy: Array, gradients: Weights) -> Array:
        d_kernel, d_padded = np.zeros(kernel.shape), np.zeros(padded.shape)
        for a, b in places:
            window = padded[:, a : a + height, b : b + width]
            d_kernel[:, :, a, b] = np.tensordot(dy, window, axes=([0, 1, 2], [0, 1, 2]))
            d_padded[:, a : a + height, b : b + width] += dy @ kernel[:, :, a, b]
        gradients[f"{name}.kernel"] = d_kernel
        gradients[f"{name}.bias"] = dy.sum((0, 1, 2))
        top, left = kernel.shape[2] // 2, kernel.shape[3] // 2
        return d_padded[:, top : top + height, left : left + width]

    return y, back


def norm(name: str, x: Array, w: Weights) -> tuple[Array, Back]:
    """y = γ (x − mean)/√(var + ε) + β over all axes but the features; the variance divides by n."""
    scale, bias = w[f"{name}.scale"], w[f"{name}.bias"]
    over = tuple(range(x.ndim - 1))
    deviation = x - x.mean(over)
    root = np.sqrt((deviation**2).mean(over) + EPSILON)
    unit = deviation / root

    def back(dy: Array, gradients: Weights) -> Array:
        gradients[f"{name}.scale"] = (dy * unit).sum(over)
        gradients[f"{name}.bias"] = dy.sum(over)
        d_unit = dy * scale
        return (d_unit - d_unit.mean(over) - unit * (d_unit * unit).mean(over)) / root

    return unit * scale + bias, back


def relu(name: str, x: Array, w: Weights) -> tuple[Array, Back]:
    """max(x, 0)."""
    return np.where(x > 0, x, 0.0), lambda dy, gradients: np.where(x > 0, dy, 0.0)


def mean(name: str, x: Array, w: Weights) -> tuple[Array, Back]:
    """The mean over positions."""
    count = x.shape[1] * x.shape[2]
    return x.mean((1, 2)), lambda dy, gradients: np.broadcast_to(dy[:, None, None, :] / count, x.shape)


def cross_entropy(scores: Array, labels: np.ndarray) -> tuple[float, Array]:
    """The mean of −log softmax at the labels, and its gradient."""
    shifted = scores - scores.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    rows = np.arange(len(labels))
    gradient = np.exp(logs)
    gradient[rows, labels] -= 1
    return float(-logs[rows, labels].mean()), gradient / len(labels)


LAYERS = {"linear": linear, "conv": conv, "norm": norm, "relu": relu, "mean": mean}


def run(
    network: Network,
    w: Weights,
    x: Array,
    labels: np.ndarray,
    terms: tuple[TermSpec, ...],
    masks: Masks,
) -> Outcome:
    """Loss, penalties and gradients of the task loss plus the total penalty."""
    outputs: dict[str, Array] = {}
    inputs: dict[str, Array] = {}
    backs: list[tuple[Layer, Back]] = []
    value = x
    for layer in network.layers:
        inputs[layer.name] = value
        value, back = LAYERS[layer.kind](layer.name, value, w)
        outputs[layer.name] = value
        backs.append((layer, back))
    task, slope = cross_entropy(value, labels)
    found: list[Measured] = [measure(term, w, outputs, inputs, masks) for term in terms]
    totals = {term.name: sum(one.layers.values()) for term, one in zip(terms, found, strict=True)}
    gradients: Weights = {}
    for layer, back in reversed(backs):
        for one in found:
            slope = slope + one.outputs.get(layer.name, 0.0)
        slope = back(slope, gradients)
        for one in found:
            slope = slope + one.inputs.get(layer.name, 0.0)
    for one in found:
        for name, extra in one.weights.items():
            gradients[name] = gradients[name] + extra
    layers = {term.name: one.layers for term, one in zip(terms, found, strict=True)}
    total = sum(totals.values())
    return Outcome(task + total, total, totals, layers, gradients)
