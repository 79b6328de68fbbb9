"""Modules in the carry of a scan: recurrent cells as they are, others as declared, an error where they are not."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest
from flax import nnx

from jaxreg.nnx import PenaltyVariable
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.nnx_models import Block, gradients_match, snapshot


class Carried(nnx.Module):
    """A block that a scan runs as part of its carry, with the state axes it is given."""

    def __init__(self, rngs: nnx.Rngs, axes: Any = nnx.Carry) -> None:
        self.block = Block(rngs)
        self.axes = axes

    def __call__(self, x: Any) -> Any:
        def step(block: Any, x: Any, _: Any) -> Any:
            return block(x), None

        scanned = nnx.scan(step, in_axes=(self.axes, nnx.Carry, 0), out_axes=(nnx.Carry, 0))
        return scanned(self.block, x, jnp.zeros(3))[0]


def test_a_carried_module_with_declared_axes() -> None:
    """With nnx.StateAxes({PenaltyVariable: 0, ...: nnx.Carry}) every iteration counts."""
    model = Carried(nnx.Rngs(0), nnx.StateAxes({PenaltyVariable: 0, ...: nnx.Carry}))
    ys = [model.block(X)]
    for _ in range(2):
        ys.append(model.block(ys[-1]))
    close(l1_of("block.act").apply(model, X)[1].total, sum(total(y) for y in ys))


@covers("a scan that drops the captures", "nnx", "TypeError: the state axes to declare")
@covers("a scan that keeps them fixed", "nnx", "TypeError: the state axes to declare")
@pytest.mark.parametrize("axes", [nnx.StateAxes({...: nnx.Carry}), nnx.StateAxes({...: None})], ids=["carry", "none"])
def test_a_carried_module_without_them_is_an_error(axes: Any) -> None:
    """A carry that would change its structure, or a state that is dropped: an error that prints what to declare."""
    model = Carried(nnx.Rngs(0), axes)
    before = snapshot(model)
    with pytest.raises((TypeError, RuntimeError), match="PenaltyVariable"):
        l1_of("block.act").apply(model, X)
    assert snapshot(model) == before


@covers("a recurrent module", "nnx")
@pytest.mark.parametrize("cell", [nnx.OptimizedLSTMCell, nnx.GRUCell])
def test_recurrent_cells_as_they_are(cell: Any) -> None:
    """A cell inside nnx.RNN counts its primary output at every step, two sequences of different lengths add up."""

    class Siamese(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.rnn = nnx.RNN(cell(3, 4, rngs=rngs), rngs=rngs)

        def __call__(self, a: Any, b: Any) -> Any:
            return self.rnn(a), self.rnn(b)

    model = Siamese(nnx.Rngs(0))
    a, b = jnp.ones((2, 5, 3)), jnp.ones((2, 3, 3))
    expected = sum(total(y) for y in model(a, b))
    before = snapshot(model)
    found = l1_of(("rnn", "rnn.cell")).apply(model, a, b)[1].layers["s"]
    close(found["rnn"], expected)
    close(found["rnn.cell"], expected)
    close(l1_of(type=cell).apply(model, a, b)[1].total, expected)  # no term then knows of the nnx.RNN
    assert snapshot(model) == before
    if cell is nnx.GRUCell:
        gradients_match(
            model,
            lambda m: l1_of("rnn.cell").apply(m, a, b)[1].total,
            lambda m: sum(jnp.abs(y).sum() for y in m(a, b)),
        )


def test_a_cell_that_runs_beside_its_rnn_in_one_transform() -> None:
    """What a cell has counted before the scan of its nnx.RNN begins is not taken for a part of it."""

    class Both(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.rnn = nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs), rngs=rngs)

        def __call__(self, x: Any) -> Any:
            def inside(rnn: Any, x: Any) -> Any:
                first = rnn.cell(jnp.zeros((2, 4)), x[:, 0])[1]
                return first, rnn(x)

            return nnx.jit(inside)(self.rnn, x)

    model, x = Both(nnx.Rngs(0)), jnp.ones((2, 5, 3))
    close(l1_of(type=nnx.GRUCell).apply(model, x)[1].total, sum(total(y) for y in model(x)))
