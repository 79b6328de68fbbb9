"""One layer of each kind in both frameworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity_tests.twin_tests.common import numbers


@dataclass(frozen=True)
class Case:
    """A torch layer, its twins (called with ``linen``, or with ``nnx`` and its rngs), and a batch in torch's axes."""

    torch: Callable[[Any], Any]
    linen: Callable[[Any], Any] | None
    nnx: Callable[[Any, Any], Any] | None
    batch: np.ndarray
    images: bool = True


TOKENS = np.array([[1, 4, 0], [6, 6, 2]])
CASES = {
    "linear": Case(
        lambda nn: nn.Linear(3, 4),
        lambda nn: nn.Dense(4),
        lambda nn, r: nn.Linear(3, 4, rngs=r),
        numbers(5, 3),
    ),
    "linear with heads": Case(
        lambda nn: nn.Linear(3, 6),
        lambda nn: nn.DenseGeneral((6,)),
        lambda nn, r: nn.LinearGeneral(3, (6,), rngs=r),
        numbers(5, 3),
    ),
    "embedding": Case(
        lambda nn: nn.Embedding(7, 3),
        lambda nn: nn.Embed(7, 3),
        lambda nn, r: nn.Embed(7, 3, rngs=r),
        TOKENS,
    ),
    "convolution": Case(
        lambda nn: nn.Conv2d(3, 4, (2, 3), stride=(2, 1), padding=1),
        lambda nn: nn.Conv(4, (2, 3), (2, 1), padding=1),
        lambda nn, r: nn.Conv(3, 4, (2, 3), (2, 1), padding=1, rngs=r),
        numbers(2, 3, 6, 5),
    ),
    "grouped, dilated convolution": Case(
        lambda nn: nn.Conv1d(6, 4, 3, dilation=2, groups=2),
        lambda nn: nn.Conv(4, (3,), padding="VALID", kernel_dilation=2, feature_group_count=2),
        lambda nn, r: nn.Conv(6, 4, (3,), padding="VALID", kernel_dilation=2, feature_group_count=2, rngs=r),
        numbers(2, 6, 9),
    ),
    "convolution of volumes": Case(
        lambda nn: nn.Conv3d(2, 3, 2, bias=False),
        lambda nn: nn.Conv(3, (2, 2, 2), padding="VALID", use_bias=False),
        lambda nn, r: nn.Conv(2, 3, (2, 2, 2), padding="VALID", use_bias=False, rngs=r),
        numbers(2, 2, 3, 4, 3),
    ),
    "transposed convolution": Case(
        lambda nn: nn.ConvTranspose2d(3, 4, 3, stride=2),
        lambda nn: nn.ConvTranspose(4, (3, 3), (2, 2), padding="VALID"),
        lambda nn, r: nn.ConvTranspose(3, 4, (3, 3), (2, 2), padding="VALID", rngs=r),
        numbers(2, 3, 4, 5),
    ),
    "transposed convolution, transposed kernel": Case(
        lambda nn: nn.ConvTranspose1d(3, 4, 3, stride=2),
        lambda nn: nn.ConvTranspose(4, (3,), (2,), padding="VALID", transpose_kernel=True),
        lambda nn, r: nn.ConvTranspose(3, 4, (3,), (2,), padding="VALID", transpose_kernel=True, rngs=r),
        numbers(2, 3, 5),
    ),
    "batch norm": Case(
        lambda nn: nn.BatchNorm2d(3),
        lambda nn: nn.BatchNorm(use_running_average=True, epsilon=1e-5, momentum=0.9),
        lambda nn, r: nn.BatchNorm(3, epsilon=1e-5, momentum=0.9, rngs=r),
        numbers(4, 3, 2, 2),
    ),
    "layer norm": Case(
        lambda nn: nn.LayerNorm(6, eps=1e-6),
        lambda nn: nn.LayerNorm(),
        lambda nn, r: nn.LayerNorm(6, rngs=r),
        numbers(4, 6),
    ),
    "group norm": Case(
        lambda nn: nn.GroupNorm(2, 6, eps=1e-6),
        lambda nn: nn.GroupNorm(2),
        lambda nn, r: nn.GroupNorm(6, 2, rngs=r),
        numbers(3, 6, 4),
    ),
    "root mean square norm": Case(
        lambda nn: nn.RMSNorm(6, eps=1e-6),
        lambda nn: nn.RMSNorm(),
        lambda nn, r: nn.RMSNorm(6, rngs=r),
        numbers(4, 6),
    ),
    "instance norm": Case(
        lambda nn: nn.InstanceNorm1d(3, affine=True), lambda nn: nn.InstanceNorm(epsilon=1e-5), None, numbers(2, 3, 5)
    ),
    "simple cell": Case(
        lambda nn: nn.RNN(3, 4, batch_first=True),
        lambda nn: nn.RNN(nn.SimpleCell(4)),
        lambda nn, r: nn.RNN(nn.SimpleCell(3, 4, rngs=r), rngs=r),
        numbers(2, 5, 3),
        images=False,
    ),
    "LSTM": Case(
        lambda nn: nn.LSTM(3, 4, batch_first=True),
        lambda nn: nn.RNN(nn.OptimizedLSTMCell(4)),
        lambda nn, r: nn.RNN(nn.OptimizedLSTMCell(3, 4, rngs=r), rngs=r),
        numbers(2, 5, 3),
        images=False,
    ),
    "LSTM, a layer for each gate": Case(
        lambda nn: nn.LSTM(3, 4, batch_first=True, bias=False),
        lambda nn: nn.RNN(nn.LSTMCell(4)),
        lambda nn, r: nn.RNN(nn.LSTMCell(3, 4, rngs=r), rngs=r),
        numbers(2, 5, 3),
        images=False,
    ),
    "GRU": Case(
        lambda nn: nn.GRU(3, 4, batch_first=True),
        lambda nn: nn.RNN(nn.GRUCell(4)),
        None,
        numbers(2, 5, 3),
        images=False,
    ),
    "GRU without biases": Case(
        lambda nn: nn.GRU(3, 4, batch_first=True, bias=False),
        lambda nn: nn.RNN(nn.GRUCell(4)),
        lambda nn, r: nn.RNN(nn.GRUCell(3, 4, rngs=r), rngs=r),
        numbers(2, 5, 3),
        images=False,
    ),
    "LSTM in two layers and directions": Case(
        lambda nn: nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
        lambda nn: nn.Sequential(
            [nn.Bidirectional(*(nn.RNN(nn.OptimizedLSTMCell(4)) for _ in range(2))) for _ in range(2)]
        ),
        lambda nn, r: nn.Sequential(
            *(
                nn.Bidirectional(*(nn.RNN(nn.OptimizedLSTMCell(n, 4, rngs=r), rngs=r) for _ in range(2)), rngs=r)
                for n in (3, 8)
            )
        ),
        numbers(2, 5, 3),
        images=False,
    ),
}
