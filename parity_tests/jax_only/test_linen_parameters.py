"""Parameters that a lifted transform stacks, or that are in a box: the groups and roles are those inside."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import jaxreg
from jaxreg.walk import Leaf
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close
from parity_tests.jax_only.linen_models import Block, Holder, Stack, layers, scan

KEY = jax.random.key(1)


def test_stacked_kernels_are_one_piece_per_layer() -> None:
    """The groups of kernels under nn.scan are those of the layers, also of a convolution, whose rank says nothing."""
    model = Stack({})
    variables = model.init(KEY, X)
    reg = jaxreg.Regularizer(jaxreg.GroupLasso(1.0).on(jaxreg.params(role="kernel"), name="g"))
    single = [reg.apply(Block(), layer, X)[1].total for layer in layers(variables)]
    close(reg.apply(model, variables, X)[1].total, sum(float(s) for s in single))


class Convolutions(nn.Module):
    """A convolution as the body of a scan."""

    @nn.compact
    def __call__(self, x: Any, _: Any) -> Any:
        return nn.Conv(2, (3, 3), use_bias=False, name="conv")(x), None


@covers("stacked parameters", "linen")
@pytest.mark.parametrize("axis", [0, 2])
def test_stacked_convolutions_are_one_piece_per_layer(axis: int) -> None:
    """The axis that a scan adds to a convolution's kernel is none of the kernel's, wherever it is."""
    x = jax.random.normal(KEY, (1, 5, 5, 2))
    scanned = scan(Convolutions, variable_axes={"params": axis}, split_rngs={"params": True}, length=4)
    model = Holder(lambda name: lambda x: scanned(name=name)(x, None)[0])
    variables = model.init(KEY, x)
    kernel: Any = variables["params"]["inner"]["conv"]["kernel"]
    norms = jnp.sqrt((jnp.moveaxis(kernel, axis, 0) ** 2).sum((1, 2, 3))) * jnp.sqrt(18.0)
    reg = jaxreg.Regularizer(jaxreg.GroupLasso(1.0).on(jaxreg.params(role="kernel")))
    close(reg.apply(model, variables, x)[1].total, norms.sum())


@covers("boxed parameters", "linen")
def test_parameters_boxed_for_partitioning() -> None:
    """Boxed parameters are penalised as what is in the box, and keep their box in the gradient."""

    class Boxed(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            make = nn.with_logical_partitioning(nn.initializers.lecun_normal(), ("in", "out"))
            return nn.Dense(3, kernel_init=make, name="dense")(x)

    model = Boxed()
    variables = model.init(KEY, X)
    assert isinstance(variables["params"]["dense"]["kernel"], nn.LogicallyPartitioned)
    reg = jaxreg.Regularizer(
        jaxreg.GroupLasso(1.0).on(jaxreg.params(role="kernel"), name="g"),
        jaxreg.L1(1.0).on(jaxreg.activations("dense", per="batch"), name="s"),
    )
    plain = nn.unbox(variables)
    boxed, unboxed = reg.apply(model, variables, X)[1], reg.apply(model, plain, X)[1]
    assert boxed.total == unboxed.total
    gradient = jax.grad(lambda v: reg.apply(model, v, X)[1].total)(variables)["params"]["dense"]["kernel"]
    assert isinstance(gradient, nn.LogicallyPartitioned)


KERNEL, CONV = Leaf("kernel", ("in", "out"), (3, 4)), Leaf("kernel", ("...", "in", "out"), (2, 3, 4))


@pytest.mark.parametrize(
    ("leaf", "whole", "axes"),
    [
        (KERNEL, (3, 4), ("in", "out")),
        (KERNEL, (5, 3, 4), ("piece", "in", "out")),
        (KERNEL, (3, 5, 4), ("in", "piece", "out")),
        (KERNEL, (3, 4, 5), ("in", "out", "piece")),
        (KERNEL, (6, 5, 3, 4), ("piece", "piece", "in", "out")),
        (KERNEL, (5, 3, 6, 4), None),
        (KERNEL, (5, 3, 5), None),
        (CONV, (5, 2, 3, 4), ("piece", "k0", "in", "out")),
        (CONV, (2, 5, 3, 4), ("k0", "piece", "in", "out")),
        (Leaf(None, None, (3,)), (5, 3), None),
    ],
)
def test_the_axes_of_what_a_transform_stacks(leaf: Leaf, whole: tuple[int, ...], axes: tuple[str, ...] | None) -> None:
    """The additional axes are in front, or one is in between; of any other shape nobody knows."""
    assert leaf.outside(whole) == axes
