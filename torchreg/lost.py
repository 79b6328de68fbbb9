"""What PyTorch may do to a pass that a tape cannot follow, and the sentences that say so."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._C._functorch import (  # pyright: ignore[reportMissingModuleSource]
    TransformType,
    get_interpreter_stack,
    unwrap_if_dead,
)

from ._spec.errors import sentence

UNREAD_PASSES = 64


def check_whole(root: nn.Module) -> None:
    """Refuses a replica of ``DataParallel``: replicas run in threads, and all of them would write to one tape."""
    if vars(root).get("_is_replica"):  # not getattr, which is slow where a module lacks something
        hint = "Use torch.nn.parallel.DistributedDataParallel, one process for each device."
        raise RuntimeError(sentence("Tape", "model", "no replica of torch.nn.DataParallel", type(root).__name__, hint))


def in_backward() -> bool:
    """Whether a backward pass is under way: what calls the root then is the recomputation of a checkpoint."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def vmaps() -> int:
    """How many ``torch.func.vmap`` run around the caller."""
    if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
        return 0
    return sum(one.key() == TransformType.Vmap for one in get_interpreter_stack() or ())


def check_mapped(name: str) -> None:
    """Refuses a ``vmap`` that began inside the pass: what is measured in it could not leave it."""
    if not torch.compiler.is_compiling():  # compiled code sees none of them
        hint = "Call Regularizer.apply inside the function that is mapped, or name what vmap returns with torchreg.Tap."
        expected = "called outside of torch.func.vmap, as the model is"
        raise RuntimeError(sentence("activations", repr(name), expected, "inside", hint))


def shed(value: Tensor) -> Tensor:
    """A scalar without the wrapper that a transform of ``torch.func``, over by now, left on it."""
    return value if torch.compiler.is_compiling() else unwrap_if_dead(value)


def lost_gradient(name: str) -> str:
    """The sentence for a module that runs without gradients in a pass with them."""
    hint = "Use checkpoint(..., use_reentrant=False), or torchreg.inject, or move the module out of no_grad."
    expected = f"enabled at {name!r}, because they were when the pass began"
    return sentence("activations", "gradients", expected, "disabled", hint)


def unread() -> str:
    """The sentence for a tape that nobody asks."""
    hint = "Call tape.penalty() after each step, or tape.detach()."
    return sentence("Tape", "passes", f"fewer than {UNREAD_PASSES} between two reads", UNREAD_PASSES, hint)
