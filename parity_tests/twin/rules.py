"""Porting rules for layers without time: linear, embedding, convolution, normalisation, attention."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from flax import linen, nnx
from torch import nn

from .entries import Entry, moved, setting, unused
from .registry import rule
from .sides import PortError


def linear(ours: Any, theirs: Any) -> Iterator[Entry]:
    """``(out, in)`` becomes ``(in, out)``, whichever heads flax may give an axis of their own."""
    yield moved("weight", "kernel", np.transpose, reshape=True)
    yield moved("bias", "bias", reshape=True)


def transposed_linear(ours: Any, theirs: Any) -> Iterator[Entry]:
    """Hugging Face's ``Conv1D`` keeps its weight as flax does."""
    yield moved("weight", "kernel", reshape=True)
    yield moved("bias", "bias", reshape=True)


for _kind in (linen.Dense, linen.DenseGeneral, nnx.Linear, nnx.LinearGeneral):
    rule(nn.Linear, _kind)(linear)
    rule("Conv1D", _kind)(transposed_linear)


def embedding(ours: Any, theirs: Any) -> Iterator[Entry]:
    """The same array; a padding row has no gradient in torch, of which flax knows nothing."""
    yield moved("weight", "embedding")
    yield setting("padding_idx", ours.padding_idx, None)
    yield setting("max_norm", ours.max_norm, None)


for _kind in (linen.Embed, nnx.Embed):
    rule(nn.Embedding, _kind)(embedding)


def channels_last(ours: Any, theirs: Any, array: np.ndarray) -> np.ndarray:
    """Batched arrays with the channels behind the sample; vectors as they are."""
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def _convolved_last(ours: Any, theirs: Any, array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, array.ndim - len(ours.kernel_size) - 1, -1)


def _each(value: Any, count: int) -> tuple[Any, ...]:
    """flax's settings may be one number, none or a number for each axis."""
    return (1 if value is None else value,) * count if value is None or isinstance(value, int) else tuple(value)


def convolution(ours: Any, theirs: Any) -> Iterator[Entry]:
    """``(out, in / groups, k...)`` becomes ``(k..., in / groups, out)``."""
    count = len(ours.kernel_size)
    yield moved("weight", "kernel", lambda weight: np.moveaxis(weight, (0, 1), (-1, -2)))
    yield moved("bias", "bias")
    yield setting("stride", ours.stride, _each(theirs.strides, count))
    yield setting("dilation", ours.dilation, _each(theirs.kernel_dilation, count))
    yield setting("groups", ours.groups, theirs.feature_group_count)
    yield from _padding(ours.padding, theirs.padding, count)


def _padding(ours: Any, theirs: Any, count: int) -> Iterator[Entry]:
    """Where both are numbers: a word, as in ``"SAME"``, can mean the same as several numbers."""
    if isinstance(ours, str) or theirs in ("SAME", "CIRCULAR", "CAUSAL", "REFLECT"):
        return
    pairs = (0,) * count if theirs == "VALID" else _each(theirs, count)
    numbers = tuple((pair, pair) if isinstance(pair, int) else tuple(pair) for pair in pairs)
    yield setting("padding", tuple((size, size) for size in ours), numbers)


def transposed_convolution(ours: Any, theirs: Any) -> Iterator[Entry]:
    """``(in, out, k...)``: torch turns the kernel round, flax only where ``transpose_kernel`` says so."""
    if ours.groups != 1:
        name = type(ours).__name__
        raise PortError(
            f"port: {name} must be of groups 1 for flax's ConvTranspose, which has none; got {ours.groups}."
        )
    count = len(ours.kernel_size)
    axes = tuple(range(2, 2 + count))
    if theirs.transpose_kernel:
        yield moved("weight", "kernel", lambda weight: np.moveaxis(weight, (0, 1), (-1, -2)))
    else:
        yield moved("weight", "kernel", lambda weight: np.moveaxis(np.flip(weight, axes), (0, 1), (-2, -1)))
    yield moved("bias", "bias")
    yield setting("stride", ours.stride, _each(theirs.strides, count))
    yield setting("dilation", ours.dilation, _each(theirs.kernel_dilation, count))


for _ours, _theirs in itertools.product((nn.Conv1d, nn.Conv2d, nn.Conv3d), (linen.Conv, nnx.Conv)):
    rule(_ours, _theirs, adapt=_convolved_last)(convolution)
for _ours, _theirs in itertools.product(
    (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), (linen.ConvTranspose, nnx.ConvTranspose)
):
    rule(_ours, _theirs, adapt=_convolved_last)(transposed_convolution)


def normalisation(ours: Any, theirs: Any) -> Iterator[Entry]:
    """Gain and shift."""
    yield moved("weight", "scale")
    yield moved("bias", "bias")
    yield from _eps(ours, theirs)


def _eps(ours: Any, theirs: Any) -> Iterator[Entry]:
    eps = getattr(ours, "eps", getattr(ours, "variance_epsilon", None))
    if eps is None:  # torch's RMSNorm then takes that of the dtype
        eps = torch.finfo(ours.weight.dtype).eps if isinstance(ours, nn.RMSNorm) and ours.weight is not None else None
    if eps is not None:
        yield setting("eps", eps, theirs.epsilon)


def grouped_normalisation(ours: Any, theirs: Any) -> Iterator[Entry]:
    """Gain and shift, and how many groups."""
    yield from normalisation(ours, theirs)
    size = getattr(theirs, "group_size", None)
    yield setting("groups", ours.num_groups, theirs.num_groups if size is None else ours.num_channels // size)


def batch_normalisation(ours: Any, theirs: Any) -> Iterator[Entry]:
    """Gain, shift and running statistics; torch's momentum is what flax's leaves."""
    yield from normalisation(ours, theirs)
    yield moved("running_mean", "mean")
    yield moved("running_var", "var")
    yield unused("torch", "num_batches_tracked", reason="a count that flax does not keep")
    if ours.momentum is not None:
        yield setting("momentum", round(1 - ours.momentum, 12), round(float(theirs.momentum), 12))


for _kind in (linen.LayerNorm, nnx.LayerNorm):
    rule(nn.LayerNorm, _kind)(normalisation)
for _ours, _theirs in itertools.product(
    (nn.RMSNorm, "RMSNorm", "LlamaRMSNorm", "T5LayerNorm"), (linen.RMSNorm, nnx.RMSNorm)
):
    rule(_ours, _theirs)(normalisation)
for _kind in (linen.GroupNorm, nnx.GroupNorm):
    rule(nn.GroupNorm, _kind, adapt=channels_last)(grouped_normalisation)
for _ours, _theirs in itertools.product(
    (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), (linen.BatchNorm, nnx.BatchNorm)
):
    rule(_ours, _theirs, adapt=channels_last)(batch_normalisation)
for _kind in (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d):
    rule(_kind, linen.InstanceNorm, adapt=channels_last)(normalisation)


def batch_first(ours: Any, theirs: Any, array: np.ndarray) -> np.ndarray:
    """Time-first arrays of a torch module, unless the flax module is time-first too."""
    same = ours.batch_first or getattr(theirs, "time_major", False)
    return array if same or array.ndim != 3 else array.swapaxes(0, 1)


def attention(ours: Any, theirs: Any) -> Iterator[Entry]:
    """Query, key, value and output projections; flax gives the heads an axis of their own."""
    for number, name in enumerate(("query", "key", "value")):

        def part(array: np.ndarray, number: int = number) -> np.ndarray:
            return np.split(array, 3)[number]

        if ours.in_proj_weight is not None:
            yield moved("in_proj_weight", f"{name}.kernel", lambda array, part=part: part(array).T, reshape=True)
        else:
            yield moved(f"{name[0]}_proj_weight", f"{name}.kernel", np.transpose, reshape=True)
        yield moved("in_proj_bias", f"{name}.bias", part, reshape=True)
    yield moved("out_proj.weight", "out.kernel", np.transpose, reshape=True)
    yield moved("out_proj.bias", "out.bias")
    yield setting("heads", ours.num_heads, theirs.num_heads)


for _kind in (linen.MultiHeadDotProductAttention, nnx.MultiHeadAttention):
    rule(nn.MultiheadAttention, _kind, adapt=batch_first)(attention)
