"""The layout language: native axis names in, canonical axes out.

A layout names the native axes of an array in order: ``("out", "in", "...")`` is PyTorch's convolution kernel,
``("...", "in", "out")`` Flax's, ``("sample", "feature", "...")`` a channel-first activation. A name that repeats is
merged (in its order of appearance), ``piece`` splits the array into one array per index, and ``...`` stands for all
remaining kernel axes (``k0, k1, ...``) of a parameter or positions (``p0, p1, ...``) of an activation. An axis that
holds several is their product, with the sizes of all but one: ``("piece:4*out", "in")`` are the four gates of an LSTM.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

from .errors import sentence

Axes = tuple[str, ...]
Layout = tuple[str, ...]

UNKNOWN = "?"
"""An axis whose meaning nobody has stated."""

GROUPS = ("out", "in", "kernel", "sample", "position", "feature")
_FAMILY = {"kernel": "k", "position": "p"}
_CANONICAL = re.compile(r"sample|feature|out|in|joint|\?|[kp]\d+")
_NAMES = {"params": r"(?:out|in|piece|k\d+)", "activations": r"(?:sample|feature|p\d+)"}
_NATIVE = {
    where: re.compile(rf"\.\.\.|{name}(?::[1-9]\d*)?(?:\*{name}(?::[1-9]\d*)?)*") for where, name in _NAMES.items()
}
_ALLOWED = {
    "params": "a tuple of 'out', 'in', 'k0', 'k1', ..., 'piece', products such as 'piece:4*out', and at most one '...'",
    "activations": "a tuple of 'sample', 'feature', 'p0', 'p1', ..., products of them, and at most one '...'",
}


def check_layout(where: str, value: Any) -> Layout | None:
    """A layout as a tuple of names, with ``...`` written as a string; ``where`` is "params" or "activations"."""
    if value is None:
        return None
    if not isinstance(value, tuple | list):
        raise TypeError(sentence(where, "layout", _ALLOWED[where], value))
    names = tuple("..." if isinstance(name, EllipsisType) else name for name in value)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(sentence(where, "layout", _ALLOWED[where], value))
    sound = all(_NATIVE[where].fullmatch(name) and _single(name) for name in names)
    if not sound or names.count("...") > 1:
        raise ValueError(sentence(where, "layout", _ALLOWED[where], value))
    return names


def expand(where: str, layout: Layout, shape: tuple[int, ...]) -> tuple[Axes, tuple[int, ...]]:
    """The native axes of an array of a shape and their sizes: ``...`` numbered, products taken apart."""
    axes: list[str] = []
    sizes: list[int] = []
    for name, size in zip(_numbered(where, layout, len(shape)), shape, strict=True):
        factors = [factor.partition(":") for factor in name.split("*")]
        known = math.prod([int(count) for _, _, count in factors if count])
        if size % known:
            raise ValueError(sentence(where, "layout", f"one whose {name!r} divides the axis of size {size}", layout))
        axes += [factor for factor, _, _ in factors]
        sizes += [int(count) if count else size // known for _, _, count in factors]
    return tuple(axes), tuple(sizes)


def _numbered(where: str, layout: Layout, rank: int) -> Layout:
    missing = rank - (len(layout) - layout.count("..."))
    if missing < 0 or (missing > 0 and "..." not in layout):
        raise ValueError(sentence(where, "layout", f"one that names the {rank} axes of the array", layout))
    if "..." not in layout:
        return layout
    letter = "k" if where == "params" else "p"
    at = layout.index("...")
    return layout[:at] + tuple(f"{letter}{i}" for i in range(missing)) + layout[at + 1 :]


def fitting(layout: Layout | None, rank: int) -> Layout | None:
    """What a table says of an array, unless the array has fewer axes, or more, than the table thinks: nobody knows."""
    if layout is None or (rank < len(layout) - 1 if "..." in layout else rank != len(layout)):
        return None
    return layout


def stacked(layout: Layout | None, rank: int) -> Layout | None:
    """As :func:`fitting` for a parameter: axes too many in front are pieces, as a scan or a vmap stacks them."""
    if layout and "..." not in layout and rank > len(layout):
        return ("piece",) * (rank - len(layout)) + layout
    return fitting(layout, rank)


@dataclass(frozen=True)
class Move:
    """How a native array becomes canonical: pieces first, then each canonical axis from the native axes it merges.

    ``shape`` is what the array is viewed as before, where an axis of it holds several.
    """

    axes: Axes
    sources: tuple[tuple[int, ...], ...]
    pieces: tuple[int, ...]
    shape: tuple[int, ...] | None

    @property
    def permutation(self) -> tuple[int, ...]:
        return self.pieces + tuple(axis for merged in self.sources for axis in merged)

    @property
    def is_identity(self) -> bool:
        return self.shape is None and not self.pieces and self.permutation == tuple(range(len(self.axes)))


def move(where: str, layout: Layout, shape: tuple[int, ...]) -> Move:
    """The way from a native array to the canonical order ``sample, out, in, k0, ..., p0, ..., feature``."""
    native, sizes = expand(where, layout, shape)
    names = sorted({name for name in native if name != "piece"}, key=_rank)
    places = {name: tuple(i for i, other in enumerate(native) if other == name) for name in ("piece", *names)}
    taken_apart = sizes if len(sizes) != len(shape) else None
    return Move(tuple(names), tuple(places[name] for name in names), places["piece"], taken_apart)


def _single(name: str) -> bool:
    """Whether exactly one factor of a name is without a size; a name that is no product has none."""
    return sum(":" not in factor for factor in name.split("*")) == 1


def _rank(name: str) -> tuple[int, int]:
    fixed = {"sample": 0, "out": 1, "in": 2, "feature": 5}
    if name in fixed:
        return fixed[name], 0
    return {"k": 3, "p": 4}[name[0]], int(name[1:])


def parameter_axes(rank: int) -> Axes:
    """The canonical axes of a parameter of a rank."""
    return ("out", "in", *(f"k{i}" for i in range(rank - 2)))[:rank]


def activation_axes(rank: int) -> Axes:
    """The canonical axes of an activation of a rank; a single axis is the sample."""
    if rank < 2:
        return ("sample",)[:rank]
    return ("sample", *(f"p{i}" for i in range(rank - 2)), "feature")


def unknown_axes(axes: Axes) -> Axes:
    """An activation of which only the sample axis is known; one or two axes leave nothing to guess."""
    return axes if len(axes) <= 2 else ("sample", *(UNKNOWN for _ in axes[1:]))


def check_groups(where: str, value: Any) -> tuple[str, ...]:
    """The axes that index the groups, as a sorted tuple without repeats."""
    expected = f"one of {', '.join(repr(name) for name in GROUPS)}, or a tuple of them"
    members = (value,) if isinstance(value, str) else value
    if not isinstance(members, tuple | list) or any(not isinstance(member, str) for member in members):
        raise TypeError(sentence(where, "groups", expected, value))
    if not members or any(member not in GROUPS for member in members):
        raise ValueError(sentence(where, "groups", expected, value))
    return tuple(sorted(set(members), key=GROUPS.index))


def family(name: str, axes: Axes) -> tuple[int, ...]:
    """The places of one group word in an array's axes: ``kernel`` and ``position`` are all k and all p axes."""
    letter = _FAMILY.get(name)
    if letter is None:
        return tuple(i for i, axis in enumerate(axes) if axis == name)
    return tuple(i for i, axis in enumerate(axes) if axis[0] == letter)


def inside(where: str, groups: tuple[str, ...], axes: Axes) -> tuple[int, ...]:
    """The axes that run inside a group: all that do not index the groups."""
    index: set[int] = set()
    for name in groups:
        places = family(name, axes)
        if not places:
            raise ValueError(_no_axis(where, "groups", name, axes))
        index.update(places)
    return tuple(i for i in range(len(axes)) if i not in index)


def require(where: str, name: str, axes: Axes) -> int:
    """The place of an axis that a penalty cannot do without."""
    if name not in axes:
        raise ValueError(_no_axis(where, "axes", name, axes))
    return axes.index(name)


def _no_axis(where: str, argument: str, name: str, axes: Axes) -> str:
    if UNKNOWN in axes:
        hint = "State the axes with layout=, as in layout=('sample', 'feature', '...') or layout=('out', 'in')."
        return sentence(where, "layout", f"stated, because {name!r} is among axes that nobody has named", axes, hint)
    return sentence(where, argument, f"among the axes that the array has, and {name!r} is not", axes)


def check_axes(where: str, axes: Any, rank: int) -> Axes:
    """Canonical axis names of an array of a rank, as a tuple."""
    expected = f"a tuple of {rank} canonical axis names"
    if not isinstance(axes, tuple | list) or any(not isinstance(axis, str) for axis in axes):
        raise TypeError(sentence(where, "axes", expected, axes))
    if len(axes) != rank or any(not _CANONICAL.fullmatch(axis) for axis in axes) or _repeats(axes):
        raise ValueError(sentence(where, "axes", expected, tuple(axes)))
    return tuple(axes)


def _repeats(axes: Any) -> bool:
    named = [axis for axis in axes if axis != UNKNOWN]
    return len(set(named)) != len(named)
