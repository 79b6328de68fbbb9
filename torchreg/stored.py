"""Arrays as PyTorch may hold them (sharded, packed, nested), brought to one plain tensor or refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from ._spec.errors import sentence


def whole(x: Tensor) -> Tensor:
    """All of a sharded tensor: reductions over a sharded axis are silently wrong, so no penalty sees a shard.

    A collective call for a ``DTensor``: every process must make it. Any other tensor is what it was.
    """
    if torch.compiler.is_compiling() or type(x) in (Tensor, torch.nn.Parameter):
        return x
    gather = getattr(x, "full_tensor", None)
    return x if gather is None else gather()


def check_padded(name: str, of: str, value: Any, x: Tensor) -> None:
    """Refuses what joins samples and times in one axis, or has none, where no layout says how to take it."""
    if x.is_nested:
        hint = "Pass padded tensors and name a mask=, or build the module with enable_nested_tensor=False."
        raise TypeError(sentence("activations", f"the {of} of {name!r}", "padded", "a nested tensor", hint))
    if _is_packed(value, x):
        hint = "Samples and times share its first axis: layout=('sample', 'feature') counts each step as a sample."
        raise ValueError(sentence("activations", "layout", f"stated for the packed {of} of {name!r}", None, hint))


def _is_packed(value: Any, x: Tensor) -> bool:
    if isinstance(value, PackedSequence):
        return value.data is x
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return any(_is_packed(one, x) for one in inner)
