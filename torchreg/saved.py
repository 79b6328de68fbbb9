"""What the penalty of an activation saves for its backward: unseen by checkpointing, safe from what is written over it.

Note [Overwritten activations]
A later operation may write into a captured tensor (``ReLU(inplace=True)``, ``x += 1``). The value of the penalty is
taken at once and is safe; its gradient needs the tensor as it was. A copy is always right and always costs one. So the
first time that a module is heard the penalty gets a copy, and the version counter of the tensor is compared when the
penalty is read: where it stayed the same no later pass pays for a copy, where it changed all of them do. A module that
writes only now and then is told by the version of what was saved: an error in backward, never a wrong gradient
(PyTorch itself compares no versions under saved-tensor hooks). Compiled code always copies: the compiler, which sees
all of the pass, leaves out the copies that nobody needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode_stack
from torch.utils.checkpoint import _CachingTorchDispatchMode

from ._spec.errors import sentence

_WRITTEN: WeakKeyDictionary[nn.Module, dict[str, bool]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Watch:
    """A captured tensor of a module not heard before, and the version it had."""

    of: Saved
    tensor: Tensor
    version: int

    def settle(self) -> None:
        """Notes whether the tensor was written over; a module that ever did so keeps the mark."""
        self.of.note(self.tensor._version != self.version)


class Saved:
    """What is known of an output (or input) of a module, and the hooks under which its penalty saves it."""

    def __init__(self, name: str, module: nn.Module, of: str) -> None:
        self._name, self._of = name, of
        self._written = _WRITTEN.setdefault(module, {})
        self._hooks = torch.autograd.graph.saved_tensors_hooks(_pack, self._unpack)

    def protect(self, x: Tensor, watches: list[Watch]) -> Tensor:
        """``x``, or a copy of it where ``x`` is, or may be, written over before backward."""
        if not (torch.is_grad_enabled() and x.requires_grad):
            return x
        if torch.compiler.is_compiling():
            return x.clone()
        written = self._written.get(self._of)
        if written is None:
            watches.append(Watch(self, x, x._version))
        return x if written is False else x.clone()

    def saving(self) -> AbstractContextManager[Any]:
        """Keeps what is saved inside out of the hands of activation checkpointing, which would otherwise find the
        recomputation, in which no penalty is computed, different. Compiled code and ``torch.func`` have no such hands.
        """
        if torch.compiler.is_compiling() or not _enabled():
            return nullcontext()
        modes = _get_current_dispatch_mode_stack()
        return _unseen(self._hooks) if any(map(_is_caching, modes)) else self._hooks

    def note(self, written: bool) -> None:
        """Remembers, for all tapes, whether it was written over; once is enough."""
        self._written[self._of] = self._written.get(self._of, False) or written

    def _unpack(self, packed: tuple[Tensor, int]) -> Tensor:
        x, version = packed
        if x._version != version:
            self.note(True)
            raise RuntimeError(_overwritten(self._name, self._of))
        return x


def _is_caching(mode: Any) -> bool:
    return isinstance(mode, _CachingTorchDispatchMode)


@contextmanager
def _unseen(hooks: AbstractContextManager[Any]) -> Iterator[None]:
    """A selective checkpoint keeps the results of chosen operations in the order of their calls and hands them out in
    the recomputation: it must not count the operations of a penalty, or the model would get them for its own.
    """
    with hooks, _disable_current_modes():
        yield


def _enabled() -> bool:
    return torch._C._autograd._saved_tensors_hooks_is_enabled()  # pyright: ignore[reportAttributeAccessIssue]


def _pack(x: Tensor) -> tuple[Tensor, int]:
    return x, x._version


def _overwritten(name: str, of: str) -> str:
    hint = "Repeat the step (later passes keep a copy), or give the operation that writes a clone() of it."
    expected = "left as it was until backward, as in earlier passes"
    return sentence("activations", f"the {of} of {name!r}", expected, "a tensor written in place", hint)
