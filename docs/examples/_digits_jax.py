"""The example's JAX half: the same LeNet in Flax, the same loop, and one compiled step for every strength."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from _digits_data import LEARNING_RATE, Digits, Run, batches, count_zeros, initial_weights, percent_correct
from flax import linen as nn
from jax import Array

from jaxreg import L1, Regularizer, activations
from jaxreg.linen import Tap

# A weight of 1 here; the step multiplies the term by a strength that is known only at run time.
REG = Regularizer(L1(1.0).on(activations("relu*"), name="sparsity"))
OPTIMIZER = optax.adam(LEARNING_RATE)


class LeNet(nn.Module):
    """20 and 50 channels, 500 units, 10 classes; ``Tap`` names what no module outputs."""

    kernel: int
    pad: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        window = (self.kernel, self.kernel)
        x = nn.Conv(20, window, padding=self.pad, name="conv1")(x)
        x = max_pool(Tap(name="relu1")(nn.relu(x)))
        x = nn.Conv(50, window, padding=self.pad, name="conv2")(x)
        x = max_pool(Tap(name="relu2")(nn.relu(x)))
        x = nn.Dense(500, name="fc1")(x.reshape(len(x), -1))
        x = Tap(name="relu3")(nn.relu(x))
        return nn.Dense(10, name="fc2")(x)


def max_pool(x: Array) -> Array:
    """``flax.linen.max_pool`` with a 2 x 2 window, which is slow to differentiate on a CPU."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


@partial(jax.jit, static_argnames="model")
def step(
    model: LeNet, params: Any, state: Any, images: np.ndarray, labels: np.ndarray, strength: float
) -> tuple[Any, Any, Array]:
    """One update; ``strength`` is traced, so a sweep over strengths compiles once."""

    def objective(params: Any) -> Array:
        logits, penalties = REG.at(weights={"sparsity": strength}).apply(model, {"params": params}, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean() + penalties.total

    loss, gradients = jax.value_and_grad(objective)(params)
    updates, state = OPTIMIZER.update(gradients, state)
    return optax.apply_updates(params, updates), state, loss


def train(digits: Digits, strength: float, epochs: int, seed: int, on_step: Callable[[float], None]) -> Run:
    """Train one network and measure it; ``on_step`` hears every loss."""
    with jax.default_device(jax.devices("cpu")[0]):  # beside PyTorch, which stays there unless told otherwise
        model, params = start(digits, seed)
        state = OPTIMIZER.init(params)
        losses = []
        for images, labels in batches(digits, epochs, seed):
            params, state, loss = step(model, params, state, images[..., None], labels, strength)
            losses.append(float(loss))
            on_step(losses[-1])
        return measure(model, params, digits, strength, losses)


def start(digits: Digits, seed: int) -> tuple[LeNet, dict[str, Any]]:
    """The network with the shared initial weights, in Flax's layout: channels last, (height, width, in, out)."""
    params = {}
    for name, (kernel, bias) in initial_weights(digits, seed).items():
        if name == "fc1":  # its inputs are a flattened image: channels first in the shared weights, last in Flax
            out, flat = kernel.shape
            side = round((flat / 50) ** 0.5)
            kernel = kernel.reshape(out, 50, side, side).transpose(0, 2, 3, 1).reshape(out, flat)
        kernel = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
        params[name] = {"kernel": jax.numpy.asarray(kernel), "bias": jax.numpy.asarray(bias)}
    return LeNet(digits.kernel, digits.pad), params


def measure(model: LeNet, params: Any, digits: Digits, strength: float, losses: list[float]) -> Run:
    """Accuracy, and the zeros as the network itself shows them: nothing here goes through jaxreg."""
    logits, _ = look(model, params, digits.valid.images[..., None])
    valid = percent_correct(np.asarray(logits), digits.valid.labels)
    logits, outputs = look(model, params, digits.test.images[..., None])
    test = percent_correct(np.asarray(logits), digits.test.labels)
    outputs = {name: np.asarray(output) for name, output in outputs.items()}
    return Run("jax", strength, losses, valid, test, *count_zeros(outputs))


@partial(jax.jit, static_argnames="model")
def look(model: LeNet, params: Any, images: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """Logits and ReLU outputs."""
    taps = {"capture_intermediates": lambda module, _: isinstance(module, Tap), "mutable": ["intermediates"]}
    logits, state = model.apply({"params": params}, images, **taps)
    return logits, {name: tap["__call__"][0] for name, tap in state["intermediates"].items()}
