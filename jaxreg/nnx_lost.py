"""What a transform of nnx may lose of a pass, how that is known, and the sentences that say so."""

from __future__ import annotations

import sys
from inspect import unwrap
from types import CodeType, ModuleType

from flax.nnx.transforms import autodiff, iteration

from ._spec.errors import sentence


def _codes(module: ModuleType, *names: str) -> frozenset[CodeType]:
    return frozenset(unwrap(getattr(module, name).__call__).__code__ for name in names)


_LOOPS = _codes(iteration, "VmapFn", "PmapFn", "ScanFn", "SimpleVmapFn", "SimplePmapFn", "SimpleScanFn")
_RULES = _codes(autodiff, "CustomVjpFnWrapper", "FwdFn", "SimpleCustomVjpFn", "SimpleFwdFn")


def around(outside: CodeType) -> tuple[int, bool]:
    """How many scans and vmaps of nnx run around the caller, up to the function with the code ``outside``, and whether
    an ``nnx.custom_vjp`` does.

    They leave no other trace: where a vmap shares the state and nothing depends on its axis, all of its turns are one.
    """
    frame, loops, ruled = sys._getframe(1), 0, False
    while frame is not None and frame.f_code is not outside:
        loops += frame.f_code in _LOOPS
        ruled = ruled or frame.f_code in _RULES
        frame = frame.f_back
    return loops, ruled


def dropped(name: str) -> str:
    """A scan has thrown away what its body changed in a state that it broadcasts."""
    hint = (
        f"The transform around {name!r} drops what changes in a broadcast state: declare for the module "
        "nnx.StateAxes({jaxreg.nnx.PenaltyVariable: 0, ...: None})."
    )
    return sentence("activations", "PenaltyVariable", f"delivered for {name!r}", "nothing", hint)


def unstacked(name: str) -> str:
    """A transform with one state for all its turns has counted one of them."""
    hint = (
        f"The transform around {name!r} counts all its turns once: declare for the module "
        "nnx.StateAxes({jaxreg.nnx.PenaltyVariable: 0, ...: None})."
    )
    return sentence("activations", "PenaltyVariable", f"delivered for every turn at {name!r}", "one", hint)


def dropped_gradient(name: str) -> str:
    """A rule of the model's own for gradients knows nothing of a penalty."""
    hint = (
        f"nnx.custom_vjp around {name!r} has a backward of its own, which knows no penalty: name what it returns with "
        "jaxreg.nnx.Tap."
    )
    return sentence("activations", "gradients", f"those of autodiff at {name!r}", "nnx.custom_vjp", hint)
