"""Asks Keras, under the backend that KERAS_BACKEND names, for its regularizers: prints one line of JSON.

A kernel of Keras is ``in, out``: canonical kernels are transposed on the way in, and gradients on the way back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from parity_tests.precision import Array
from parity_tests.recipes.figures import plain
from parity_tests.recipes.inputs import arrays
from parity_tests.recipes.mappings import GIVEN


def differentiated(penalty: Callable[[Any], Any], x: Array) -> tuple[float, Array]:
    """Value and gradient, through the backend's own autograd."""
    if keras.config.backend() == "jax":
        import jax

        value, gradient = jax.value_and_grad(penalty)(jax.numpy.asarray(x))
        return float(value), np.asarray(gradient)
    import torch

    tensor = torch.tensor(x, requires_grad=True)
    value = penalty(tensor)
    (gradient,) = torch.autograd.grad(value, [tensor])
    return value.item(), gradient.numpy()


def of_kernel(regularizer: Any, kernel: Array) -> dict[str, object]:
    """A ``kernel_regularizer``."""
    value, gradient = differentiated(regularizer, kernel.T)
    return plain(value, gradient.T)


def of_activation(regularizer: Any, x: Array) -> dict[str, object]:
    """An ``activity_regularizer``: the loss that a layer adds when it is called."""

    layer = keras.layers.Activation("linear", activity_regularizer=regularizer)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])

    def penalty(inputs: Any) -> Any:
        losses: Any
        if keras.config.backend() == "jax":
            losses = model.stateless_call([], [], inputs, return_losses=True)[-1]
        else:
            model(inputs)
            losses = model.losses
        (loss,) = losses
        return loss

    return plain(*differentiated(penalty, x))


def answers() -> dict[str, dict[str, object]]:
    """Every recipe, and what happens where the definitions part."""
    r, x, λ = keras.regularizers, arrays(), GIVEN["λ"]
    one_row, zero_row = x["kernel"][:, :1], x["kernel"].copy()
    zero_row[:, 2] = 0.0
    return {
        "L1": of_kernel(r.L1(λ), x["kernel"]),
        "L2": of_kernel(r.L2(λ), x["kernel"]),
        "L1L2": of_kernel(r.L1L2(GIVEN["α"], GIVEN["β"]), x["kernel"]),
        "orthogonal rows": of_kernel(r.OrthogonalRegularizer(λ, mode="rows"), x["kernel"]),
        "orthogonal columns": of_kernel(r.OrthogonalRegularizer(λ, mode="columns"), x["kernel"]),
        "activity L1": of_activation(r.L1(λ), x["activation"]),
        "activity L2, sequence": of_activation(r.L2(λ), x["sequence"]),
        "ActivityRegularization": of_activation(r.L1L2(GIVEN["α"], GIVEN["β"]), x["activation"]),
        "L1 called": plain(*differentiated(r.L1(λ), x["activation"])),
        "L1 at zero": of_kernel(r.L1(λ), np.zeros((2, 3))),
        "orthogonal with a zero row": of_kernel(r.OrthogonalRegularizer(λ, mode="rows"), zero_row),
        "orthogonal of one row": of_kernel(r.OrthogonalRegularizer(λ, mode="rows"), one_row),
    }


if __name__ == "__main__":
    keras.config.set_floatx("float64")
    print(json.dumps(answers()))
