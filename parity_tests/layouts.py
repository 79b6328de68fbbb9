"""Layers whose parameters the two frameworks store differently, filled from the same canonical pieces.

Each case makes pieces in canonical axes, puts them into the layer of each framework in its native form, and names the
parameter there. A model is returned as a function from a regularizer to penalties, so that one test serves all worlds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity_tests.layers import Pieces, Place, linen_layer, nnx_layer, torch_layer


@dataclass(frozen=True)
class LayoutCase:
    """A layer in up to three worlds."""

    shape: tuple[int, ...]
    count: int
    worlds: dict[str, Callable[[Pieces], Place]]


def _rows(pieces: Pieces) -> np.ndarray:
    return np.concatenate(pieces, axis=0)


def _columns(pieces: Pieces) -> np.ndarray:
    return np.concatenate([piece.T for piece in pieces], axis=1)


def _gates(side: str, letters: str) -> Callable[[Pieces], dict[str, np.ndarray]]:
    return lambda pieces: {f"{side}{g}.kernel": p.T for g, p in zip(letters, pieces, strict=True)}


def _last(pieces: Pieces) -> np.ndarray:
    """``out, in, k...`` to ``k..., in, out``."""
    return np.moveaxis(pieces[0], (0, 1), (-1, -2))


def _first_two(pieces: Pieces) -> np.ndarray:
    return pieces[0].swapaxes(0, 1)


def _grouped(groups: int) -> Callable[[Pieces], np.ndarray]:
    """Canonical ``(out, in / g, k...)`` of a grouped transposed convolution to PyTorch's ``(in, out / g, k...)``."""

    def native(pieces: Pieces) -> np.ndarray:
        blocks = np.split(pieces[0], groups, axis=0)
        return np.concatenate([block.swapaxes(0, 1) for block in blocks], axis=0)

    return native


def _heads(heads: int) -> Callable[[Pieces], np.ndarray]:
    return lambda pieces: pieces[0].T.reshape(pieces[0].shape[1], heads, -1)


def _headed_output(heads: int) -> Callable[[Pieces], np.ndarray]:
    return lambda pieces: pieces[0].T.reshape(heads, -1, pieces[0].shape[0])


CASES: dict[str, LayoutCase] = {
    "linear": LayoutCase(
        (4, 3),
        1,
        {
            "torch": torch_layer(lambda nn: nn.Linear(3, 4), "weight", _rows, (2, 3)),
            "linen": linen_layer(lambda nn: nn.Dense(4), "kernel", _columns, (2, 3)),
            "nnx": nnx_layer(lambda nn, r: nn.Linear(3, 4, rngs=r), "kernel", _columns, (2, 3)),
        },
    ),
    "convolution": LayoutCase(
        (4, 3, 2, 5),
        1,
        {
            "torch": torch_layer(lambda nn: nn.Conv2d(3, 4, (2, 5)), "weight", _rows, (1, 3, 6, 6)),
            "linen": linen_layer(lambda nn: nn.Conv(4, (2, 5)), "kernel", _last, (1, 6, 6, 3)),
            "nnx": nnx_layer(lambda nn, r: nn.Conv(3, 4, (2, 5), rngs=r), "kernel", _last, (1, 6, 6, 3)),
        },
    ),
    "grouped convolution": LayoutCase(
        (4, 3, 2),
        1,
        {
            "torch": torch_layer(lambda nn: nn.Conv1d(6, 4, 2, groups=2), "weight", _rows, (1, 6, 5)),
            "linen": linen_layer(lambda nn: nn.Conv(4, (2,), feature_group_count=2), "kernel", _last, (1, 5, 6)),
            "nnx": nnx_layer(
                lambda nn, r: nn.Conv(6, 4, (2,), feature_group_count=2, rngs=r), "kernel", _last, (1, 5, 6)
            ),
        },
    ),
    "transposed convolution": LayoutCase(
        (4, 3, 2),
        1,
        {
            "torch": torch_layer(lambda nn: nn.ConvTranspose1d(3, 4, 2), "weight", _first_two, (1, 3, 5)),
            "linen": linen_layer(lambda nn: nn.ConvTranspose(4, (2,)), "kernel", _last, (1, 5, 3)),
            "nnx": nnx_layer(lambda nn, r: nn.ConvTranspose(3, 4, (2,), rngs=r), "kernel", _last, (1, 5, 3)),
        },
    ),
    "transposed convolution, transposed kernel": LayoutCase(
        (4, 3, 2),
        1,
        {
            "linen": linen_layer(
                lambda nn: nn.ConvTranspose(4, (2,), transpose_kernel=True),
                "kernel",
                lambda pieces: _last(pieces).swapaxes(-1, -2),
                (1, 5, 3),
            ),
            "nnx": nnx_layer(
                lambda nn, r: nn.ConvTranspose(3, 4, (2,), transpose_kernel=True, rngs=r),
                "kernel",
                lambda pieces: _last(pieces).swapaxes(-1, -2),
                (1, 5, 3),
            ),
        },
    ),
    "grouped transposed convolution": LayoutCase(
        (6, 2, 3),
        1,
        {"torch": torch_layer(lambda nn: nn.ConvTranspose1d(4, 6, 3, groups=2), "weight", _grouped(2), (1, 4, 5))},
    ),
    "embedding": LayoutCase(
        (3, 7),
        1,
        {
            "torch": torch_layer(lambda nn: nn.Embedding(7, 3), "weight", _columns, (2, 2)),
            "linen": linen_layer(lambda nn: nn.Embed(7, 3), "embedding", _columns, (2, 2)),
            "nnx": nnx_layer(lambda nn, r: nn.Embed(7, 3, rngs=r), "embedding", _columns, (2, 2)),
        },
    ),
    "LSTM input kernel": LayoutCase(
        (5, 3),
        4,
        {
            "torch": torch_layer(lambda nn: nn.LSTM(3, 5), "weight_ih_l0", _rows, (2, 1, 3)),
            "linen": linen_layer(lambda nn: nn.LSTMCell(5), "i?.kernel", _gates("i", "ifgo"), (1, 3)),
            "nnx": nnx_layer(lambda nn, r: nn.OptimizedLSTMCell(3, 5, rngs=r), "dense_i.kernel", _columns, (1, 3)),
        },
    ),
    "LSTM recurrent kernel": LayoutCase(
        (5, 5),
        4,
        {
            "torch": torch_layer(lambda nn: nn.LSTM(3, 5), "weight_hh_l0", _rows, (2, 1, 3)),
            "linen": linen_layer(lambda nn: nn.OptimizedLSTMCell(5), "h?.kernel", _gates("h", "ifgo"), (1, 3)),
            "nnx": nnx_layer(lambda nn, r: nn.OptimizedLSTMCell(3, 5, rngs=r), "dense_h.kernel", _columns, (1, 3)),
        },
    ),
    "LSTM projection": LayoutCase(
        (2, 5), 1, {"torch": torch_layer(lambda nn: nn.LSTM(3, 5, proj_size=2), "weight_hr_l0", _rows, (2, 1, 3))}
    ),
    "GRU input kernel": LayoutCase(
        (5, 3),
        3,
        {
            "torch": torch_layer(lambda nn: nn.GRU(3, 5, bidirectional=True), "weight_ih_l0_reverse", _rows, (2, 1, 3)),
            "linen": linen_layer(lambda nn: nn.GRUCell(5), "i?.kernel", _gates("i", "rzn"), (1, 3)),
            "nnx": nnx_layer(lambda nn, r: nn.GRUCell(3, 5, rngs=r), "dense_i.kernel", _columns, (1, 3)),
        },
    ),
    "GRU cell recurrent kernel": LayoutCase(
        (5, 5),
        3,
        {
            "torch": torch_layer(lambda nn: nn.GRUCell(3, 5), "weight_hh", _rows, (2, 3)),
            "linen": linen_layer(lambda nn: nn.GRUCell(5), "h?.kernel", _gates("h", "rzn"), (1, 3)),
            "nnx": nnx_layer(lambda nn, r: nn.GRUCell(3, 5, rngs=r), "dense_h.kernel", _columns, (1, 3)),
        },
    ),
    "attention input projection": LayoutCase(
        (6, 6),
        3,
        {"torch": torch_layer(lambda nn: nn.MultiheadAttention(6, 2), "in_proj_weight", _rows, *[(2, 1, 6)] * 3)},
    ),
    "attention query": LayoutCase(
        (6, 6),
        1,
        {
            "torch": torch_layer(
                lambda nn: nn.MultiheadAttention(6, 2, kdim=4, vdim=4),
                "q_proj_weight",
                _rows,
                (2, 1, 6),
                (2, 1, 4),
                (2, 1, 4),
            ),
            "linen": linen_layer(
                lambda nn: nn.MultiHeadDotProductAttention(2, qkv_features=6), "query.kernel", _heads(2), (1, 2, 6)
            ),
            "nnx": nnx_layer(
                lambda nn, r: nn.MultiHeadAttention(2, 6, decode=False, rngs=r), "query.kernel", _heads(2), (1, 2, 6)
            ),
        },
    ),
    "attention output": LayoutCase(
        (6, 6),
        1,
        {
            "torch": torch_layer(lambda nn: nn.MultiheadAttention(6, 2), "out_proj.weight", _rows, *[(2, 1, 6)] * 3),
            "linen": linen_layer(
                lambda nn: nn.MultiHeadDotProductAttention(2, qkv_features=6),
                "out.kernel",
                _headed_output(2),
                (1, 2, 6),
            ),
            "nnx": nnx_layer(
                lambda nn, r: nn.MultiHeadAttention(2, 6, decode=False, rngs=r),
                "out.kernel",
                _headed_output(2),
                (1, 2, 6),
            ),
        },
    ),
    "several axes at once": LayoutCase(
        (10, 12),
        1,
        {
            "linen": linen_layer(
                lambda nn: nn.DenseGeneral((2, 5), axis=(-2, -1)),
                "kernel",
                lambda pieces: pieces[0].T.reshape(3, 4, 2, 5),
                (2, 3, 4),
            ),
            "nnx": nnx_layer(
                lambda nn, r: nn.LinearGeneral((3, 4), (2, 5), axis=(-2, -1), rngs=r),
                "kernel",
                lambda pieces: pieces[0].T.reshape(3, 4, 2, 5),
                (2, 3, 4),
            ),
        },
    ),
    "stacked by a lifted transform": LayoutCase(
        (4, 3),
        2,
        {
            "linen": linen_layer(
                lambda nn: nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True})(4),
                "kernel",
                lambda pieces: np.stack([piece.T for piece in pieces]),
                (2, 5, 3),
            ),
        },
    ),
}
