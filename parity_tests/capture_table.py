"""The table of capture cases in ``docs/capture.md``, made from the tests that prove its cells.

A test says with :func:`covers` which case it proves in which world, and whether the outcome is the right number or an
error. ``python -m parity_tests.capture_table`` prints the table; a test holds the page to it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeVar

import parity_tests

WORLDS = ("torch", "linen", "nnx")
PLACES = {"torch": "torch_only", "jax": "jax_only"}

Test = TypeVar("Test", bound=Callable[..., object])
_ATTRIBUTE = "covered_captures"

_NO_TAPE = "nothing is attached: each `apply` returns its own"
_NO_HOOKS = "torch runs what is called"
_FLAX = ("linen", "nnx")

ELSEWHERE: dict[str, dict[str, str]] = {
    "checkpointing (reentrant)": dict.fromkeys(_FLAX, "torch's own second kind"),
    "compiled in place (`model.compile()`)": dict.fromkeys(_FLAX, _NO_TAPE),
    "attached after compile": dict.fromkeys(_FLAX, _NO_TAPE),
    "attached behind the back of compiled code": dict.fromkeys(_FLAX, _NO_TAPE),
    "attached to a compiled model that has a tape": dict.fromkeys(_FLAX, _NO_TAPE),
    "replicas in threads (`DataParallel`)": dict.fromkeys(_FLAX, "torch's own; see: threads"),
    "a compiled training step": dict.fromkeys(_FLAX, "see: compiled once"),
    "compiled with a checkpoint inside": dict.fromkeys(_FLAX, "see: checkpointing"),
    "a copied or pickled model": dict.fromkeys(_FLAX, _NO_TAPE),
    "the state of an attached model": dict.fromkeys(_FLAX, _NO_TAPE),
    "a branch that only the penalty uses, data parallel": dict.fromkeys(_FLAX, "see: data parallel"),
    "sharded activations": dict.fromkeys(_FLAX, "see: data parallel"),
    "sharded parameters": dict.fromkeys(_FLAX, "see: data parallel"),
    "`inject`, then written in place": dict.fromkeys(_FLAX, "arrays are never written over"),
    "an inner module that attention reads but never calls": dict.fromkeys(
        _FLAX, "its projections are modules that run"
    ),
    "a fused fast path": dict.fromkeys(_FLAX, "torch's own"),
    "a tied parameter": {"linen": "a tree holds no array twice"},
    "a frozen parameter": {"linen": "a tree knows no frozen arrays"},
    "a parametrised weight": dict.fromkeys(_FLAX, "torch's own"),
    "attention without weights": dict.fromkeys(_FLAX, "the output is the only one"),
    "a packed sequence": dict.fromkeys(_FLAX, "torch's own"),
    "a nested tensor": dict.fromkeys(_FLAX, "torch's own"),
    "written in place after the module": dict.fromkeys(_FLAX, "arrays are never written over"),
    "written in place only now and then": dict.fromkeys(_FLAX, "arrays are never written over"),
    "a read without a pass": dict.fromkeys(_FLAX, _NO_TAPE),
    "two passes before one read": dict.fromkeys(_FLAX, _NO_TAPE),
    "a tape that is never read": dict.fromkeys(_FLAX, _NO_TAPE),
    "evaluation between steps": {"linen": _NO_TAPE},
    "`apply` without gradients": dict.fromkeys(_FLAX, "there is no such mode"),
    "an interrupt in forward": dict.fromkeys(_FLAX, "see: an exception in forward"),
    "a submodule called outside a pass": dict.fromkeys(_FLAX, _NO_TAPE),
    "gradient accumulation": dict.fromkeys(_FLAX, _NO_TAPE),
    "selective checkpointing": dict.fromkeys(_FLAX, "see: checkpointing"),
    "trees that the caller captured": {"torch": "flax's own", "nnx": "linen's own"},
    "`super()` and inherited calls": {"torch": "hooks are called once per call"},
    "another method as the call (`method=`)": {"torch": "linen's own", "nnx": "linen's own"},
    "the model's own state": {"torch": "buffers belong to the model"},
    "the model's own `sow`": {"torch": "flax's own: use `Tap`"},
    "state fed back": {"torch": "flax's own", "nnx": "linen's own"},
    "the user's own capture": {"torch": "see: several regularizers on one model"},
    "the model's own `sow` in a scan": {"torch": "flax's own", "nnx": "see: a scan over layers"},
    "a jit inside the model (stale traces)": {"torch": "see: attached behind the back of compiled code"},
    "a changed mask under a jit inside": {"torch": "see: compiled once"},
    "types and owners under a cached trace": {"torch": _NO_HOOKS, "nnx": "the graph knows them"},
    "stacked parameters": {"torch": "flax's own", "nnx": "see: a vmap over members"},
    "boxed parameters": {"torch": "see: sharded parameters", "nnx": "a variable carries its own sharding"},
    "a scan over layers": {"torch": "a Python loop"},
    "a scan that drops the captures": {"torch": "a Python loop"},
    "a scan that keeps them fixed": {"torch": "a Python loop"},
    "a loop that counts its turns once": {"torch": "a Python loop"},
    "calls inside and outside of a loop": {"torch": "a Python loop"},
    "other modules inside the model": {
        "torch": "see: a submodule called outside a pass",
        "nnx": "a pass lends the model's own instances alone",
    },
    "a vmap over members": {"torch": "see: functional transforms"},
    "a branch (`cond`)": {"torch": "a Python branch; see: a module that a pass may skip"},
    "weights that a module outputs": {"torch": "linen's own", "nnx": "linen's own"},
    "a pass inside a pass": {"torch": "see: a model that calls itself"},
    "a model that a trace closes over": {"torch": "see: a compiled training step", "linen": "modules are values"},
    "a sweep over strengths (`vmap`)": {"torch": "see: functional transforms"},
    "a checkpoint around the pass": {"torch": "see: checkpointing"},
}
"""Case to world to why the case does not exist there, or where else it is answered."""


def covers(case: str, world: str, outcome: str = "right") -> Callable[[Test], Test]:
    """Marks a test as the proof of a cell: ``outcome`` is "right" or names the error and its way out."""
    if world not in WORLDS:
        raise ValueError(f"covers: world must be one of {WORLDS}; got {world!r}.")

    def mark(test: Test) -> Test:
        setattr(test, _ATTRIBUTE, (*getattr(test, _ATTRIBUTE, ()), (case, world, outcome)))
        return test

    return mark


def cells() -> dict[str, dict[str, str]]:
    """Case to world to outcome, from every test of ``torch_only`` and ``jax_only``, in the order of the files."""
    found: dict[str, dict[str, str]] = {}
    for place in PLACES.values():
        package = importlib.import_module(f"{parity_tests.__name__}.{place}")
        for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
            if name.startswith("test_"):
                module = importlib.import_module(f"{package.__name__}.{name}")
                for test in vars(module).values():
                    for case, world, outcome in getattr(test, _ATTRIBUTE, ()):
                        found.setdefault(case, {}).setdefault(world, outcome)
    for case, worlds in ELSEWHERE.items():
        for world, reason in worlds.items():
            found.setdefault(case, {}).setdefault(world, f"– ({reason})")
    return found


def table() -> str:
    """The table as Markdown; an empty cell stays visible as a question mark."""
    lines = ["| case | torch | linen | nnx |", "| --- | --- | --- | --- |"]
    lines += [f"| {case} | " + " | ".join(row.get(w, "?") for w in WORLDS) + " |" for case, row in cells().items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
