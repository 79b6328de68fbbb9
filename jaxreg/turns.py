"""Turns: a module is in a pass of one thread at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ._spec.errors import sentence

TURN = threading.Condition()
"""To be held while modules are looked at or changed."""


@dataclass
class _Holder:
    """The thread that a module is in a pass of, and how many passes inside each other these are."""

    thread: int
    passes: int = 0


_holders: dict[int, _Holder] = {}


def take(modules: list[Any]) -> None:
    """Waits until no other thread has a pass of these modules, and begins one."""
    if _any_is_anothers(modules) and any(holder.thread == threading.get_ident() for holder in _holders.values()):
        hint = "Two threads that wait for each other's models would wait forever: give each thread its own models."
        raise RuntimeError(sentence("Regularizer.apply", "model", "in no pass of another thread", "one that is", hint))
    while _any_is_anothers(modules):
        TURN.wait()
    for module in modules:
        _holders.setdefault(id(module), _Holder(threading.get_ident())).passes += 1


def give_back(modules: list[Any]) -> None:
    """Ends a pass."""
    for module in modules:
        _holders[id(module)].passes -= 1
        if not _holders[id(module)].passes:
            del _holders[id(module)]
    TURN.notify_all()


def is_anothers(module: Any) -> bool:
    """Whether a module is in a pass of another thread."""
    holder = _holders.get(id(module))
    return holder is not None and holder.thread != threading.get_ident()


def _any_is_anothers(modules: list[Any]) -> bool:
    return any(is_anothers(module) for module in modules)
