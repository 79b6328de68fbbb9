"""What a penalty costs in compiled code, in run time and in compilation."""

from __future__ import annotations

from . import jit_jax, jit_torch
from .results import Section
from .timing import Settings


def run(settings: Settings) -> list[Section]:
    """``torch.compile``, then ``jax.jit`` over linen and over nnx."""
    return [*jit_torch.run(settings), *jit_jax.run(settings)]
