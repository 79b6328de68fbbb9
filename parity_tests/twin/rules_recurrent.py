"""Porting rules for recurrent layers: one layer and direction of a torch module is one cell in flax.

Torch has two biases for each gate where flax has one: flax gets the sum. Inside the GRU's reset gate the recurrent
bias stands alone, in torch as in linen's ``GRUCell``; ``nnx.GRUCell`` has no place for it, so it must be zero there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import linen, nnx
from torch import nn

from .entries import Entry, added, moved, setting, zero
from .registry import rule
from .rules import batch_first


@dataclass(frozen=True)
class Part:
    """One layer and direction of a recurrent torch module."""

    module: Any
    suffix: str
    label: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


def parts(module: nn.RNNBase) -> list[Part]:
    """Every layer and direction, in the order of computation; the label is empty where there is one only."""
    suffixes = [
        f"_l{layer}{direction}"
        for layer in range(module.num_layers)
        for direction in ("", "_reverse")[: 2 if module.bidirectional else 1]
    ]
    return [Part(module, suffix, f":{suffix[1:]}" if len(suffixes) > 1 else "") for suffix in suffixes]


@dataclass(frozen=True)
class _Names:
    """The parameters of a torch layer or cell."""

    weight_ih: str
    weight_hh: str
    bias_ih: str
    bias_hh: str


def _names(ours: Any) -> _Names:
    suffix = ours.suffix if isinstance(ours, Part) else ""
    return _Names(*(f"{kind}_{side}{suffix}" for kind in ("weight", "bias") for side in ("ih", "hh")))


def _gate(number: int, gates: int) -> Any:
    return lambda array: np.split(array, gates)[number].T


def _bias(ours: Any, names: _Names, target: str, number: int, gates: int) -> Entry:
    if not ours.bias:
        return zero("flax", target, reason="torch's layer has no bias")
    return added((names.bias_ih, names.bias_hh), target, _gate(number, gates))


def lstm(ours: Any, theirs: Any) -> Iterator[Entry]:
    """One ``Dense`` for each gate and side; the bias is on the recurrent side."""
    names = _names(ours)
    for number, gate in enumerate("ifgo"):
        inner = "if_" if gate == "f" and isinstance(theirs, nnx.Module) else f"i{gate}"
        yield moved(names.weight_ih, f"{inner}.kernel", _gate(number, 4))
        yield moved(names.weight_hh, f"h{gate}.kernel", _gate(number, 4))
        yield _bias(ours, names, f"h{gate}.bias", number, 4)


def fused_lstm(ours: Any, theirs: Any) -> Iterator[Entry]:
    """All gates at once, in torch's own order."""
    names = _names(ours)
    yield moved(names.weight_ih, "dense_i.kernel", np.transpose)
    yield moved(names.weight_hh, "dense_h.kernel", np.transpose)
    yield _bias(ours, names, "dense_h.bias", 0, 1)


def gru(ours: Any, theirs: Any) -> Iterator[Entry]:
    """One ``Dense`` for each gate and side; the new gate has a bias on either side."""
    names = _names(ours)
    for number, gate in enumerate("rzn"):
        yield moved(names.weight_ih, f"i{gate}.kernel", _gate(number, 3))
        yield moved(names.weight_hh, f"h{gate}.kernel", _gate(number, 3))
        if gate != "n" or not ours.bias:
            yield _bias(ours, names, f"i{gate}.bias", number, 3)
    if ours.bias:
        yield moved(names.bias_ih, "in.bias", _gate(2, 3))
        yield moved(names.bias_hh, "hn.bias", _gate(2, 3))
    else:
        yield zero("flax", "hn.bias", reason="torch's layer has no bias")


def _without_new_gate(bias: np.ndarray) -> np.ndarray:
    reset, update, new = np.split(bias, 3)
    return np.concatenate([reset, update, np.zeros_like(new)])


def fused_gru(ours: Any, theirs: Any) -> Iterator[Entry]:
    """All gates at once, in torch's own order, and one bias for all but the inside of the reset gate."""
    names = _names(ours)
    yield moved(names.weight_ih, "dense_i.kernel", np.transpose)
    yield moved(names.weight_hh, "dense_h.kernel", np.transpose)
    if not ours.bias:
        yield zero("flax", "dense_i.bias", reason="torch's layer has no bias")
        return
    yield added((names.bias_ih, names.bias_hh), "dense_i.bias", (np.asarray, _without_new_gate))
    reason = "nnx.GRUCell has no recurrent bias inside its reset gate"
    yield zero("torch", names.bias_hh, _gate(2, 3), reason=reason)


def simple(ours: Any, theirs: Any) -> Iterator[Entry]:
    """The Elman network."""
    names, fused = _names(ours), isinstance(theirs, nnx.Module)
    inner, outer = ("dense_i", "dense_h") if fused else ("i", "h")
    yield moved(names.weight_ih, f"{inner}.kernel", np.transpose)
    yield moved(names.weight_hh, f"{outer}.kernel", np.transpose)
    yield _bias(ours, names, f"{inner}.bias", 0, 1)
    yield setting("activation", getattr(ours, "nonlinearity", "tanh"), getattr(theirs.activation_fn, "__name__", "?"))


def _sequence(ours: Any, theirs: Any, array: np.ndarray) -> np.ndarray:
    return batch_first(ours, theirs, array) if isinstance(ours, Part | nn.RNNBase) else array


for _ours, _theirs in itertools.product(
    (nn.LSTM, nn.LSTMCell), (linen.LSTMCell, linen.OptimizedLSTMCell, nnx.LSTMCell)
):
    rule(_ours, _theirs, adapt=_sequence)(lstm)
for _kind in (nn.LSTM, nn.LSTMCell):
    rule(_kind, nnx.OptimizedLSTMCell, adapt=_sequence)(fused_lstm)
for _kind in (nn.GRU, nn.GRUCell):
    rule(_kind, linen.GRUCell, adapt=_sequence)(gru)
    rule(_kind, nnx.GRUCell, adapt=_sequence)(fused_gru)
for _ours, _theirs in itertools.product((nn.RNN, nn.RNNCell), (linen.SimpleCell, nnx.SimpleCell)):
    rule(_ours, _theirs, adapt=_sequence)(simple)
