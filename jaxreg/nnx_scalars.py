"""Where the scalars of an nnx pass are kept while it runs.

What an instance measures outside of all transforms is kept beside it, because a scan would slice it; what its copies
measure inside of them is kept in a variable of it, and travels as all variables do. Modules of a pass see each other's
scalars under keys that say of which pass and term they are, and how many loops have stacked them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
from flax import nnx

from .nnx_lost import around, dropped, dropped_gradient, unstacked
from .result import Scalars

SCALARS = "_twinreg_scalars"
ADDED = "_twinreg_added"
KEY = "twinreg_"

_homes: dict[tuple[int, int], Scalars] = {}


class PenaltyVariable(nnx.Variable):
    """The variable type to name under a lifted transform, as in ``nnx.StateAxes({PenaltyVariable: 0, ...: None})``."""


def settle(module: Any, depth: int) -> None:
    """Makes an instance a home of scalars for a pass; the attributes, where it has none of an outer pass yet."""
    _homes[id(module), depth] = {}
    if SCALARS not in vars(module):
        vars(module)[SCALARS], vars(module)[ADDED] = PenaltyVariable({}), ()


def leave(module: Any, depth: int) -> None:
    """Ends what ``settle`` began, but for the attributes; a pass that failed leaves nothing to the one around it."""
    del _homes[id(module), depth]
    own = vars(module)
    kept = {key: value for key, value in own[SCALARS].get_value().items() if _parts(key)[0] != depth}
    if len(kept) < len(own[SCALARS].get_value()):
        own[SCALARS].set_value(kept)
    own[ADDED] = tuple(key for key in own[ADDED] if _parts(key)[0] != depth)


def add(module: Any, depth: int, number: int, name: str, scalar: Any) -> None:
    """Adds the penalty of a call, for one term of one pass."""
    own = vars(module)
    kept = own[SCALARS].get_value()
    own[SCALARS].set_value(kept)  # where nnx refuses this, a transform that knows no modules runs the call
    home = _homes.get((id(module), depth))
    if home is not None:
        key = _key(depth, number, 0, name)
        home[key] = home[key] + scalar if key in home else scalar
        return
    loops, ruled = around(call.__code__)
    if ruled:
        raise RuntimeError(dropped_gradient(name))
    key = _key(depth, number, loops, name)
    if key in kept and jnp.ndim(kept[key]):
        raise RuntimeError(unstacked(name))
    if key in own[ADDED] and key not in kept:
        raise RuntimeError(dropped(name))
    own[ADDED] = tuple(sorted({*own[ADDED], key}))  # static, so that it leaves a scan that drops the scalars
    own[SCALARS].set_value({**kept, key: kept[key] + scalar if key in kept else scalar})


def take(module: Any, depth: int | None = None) -> Iterator[tuple[int, int, str, Any]]:
    """Takes (pass, term, name, sum) of all that arrived in a pass; of all passes, what came out of transforms alone."""
    for key, value in _homes.get((id(module), depth or 0), {}).items():
        of, number, _, name = _parts(key)
        yield of, number, name, value
    own = vars(module)
    kept = dict(own[SCALARS].get_value())
    for key in dict.fromkeys([*kept, *own[ADDED]]):
        of, number, loops, name = _parts(key)
        if depth in (None, of):
            if key not in kept:
                raise RuntimeError(dropped(name))
            value = kept.pop(key)
            if jnp.ndim(value) < loops:
                raise RuntimeError(unstacked(name))
            yield of, number, name, jnp.sum(value)
    own[ADDED] = tuple(key for key in own[ADDED] if key in kept)
    own[SCALARS].set_value(kept)


def call(model: nnx.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Calls the model; the transforms around a scalar are counted up to here."""
    return model(*args, **kwargs)  # pyright: ignore[reportCallIssue]


def _key(depth: int, number: int, loops: int, name: str) -> str:
    return f"{KEY}{depth}_{number}_{loops}.{name}"


def _parts(key: str) -> tuple[int, int, int, str]:
    numbers, _, name = key.removeprefix(KEY).partition(".")
    depth, number, loops = map(int, numbers.split("_"))
    return depth, number, loops, name


@contextmanager
def stacking(module: nnx.RNN) -> Iterator[None]:
    """Lets the scan of an ``nnx.RNN`` stack what its cell sows: as part of the carry it would change the structure.

    What the cell has sown is kept here, because two calls may be of different lengths.
    """
    axes = module.state_axes
    _gather(module)
    vars(module)["state_axes"] = nnx.StateAxes({PenaltyVariable: 0, **axes})
    try:
        yield
    finally:
        vars(module)["state_axes"] = axes
    _gather(module)


def _gather(module: nnx.RNN) -> None:
    for _, inner in nnx.iter_modules(module.cell):
        if SCALARS in vars(inner):
            for depth, number, name, value in list(take(inner)):
                add(module, depth, number, name, value)
