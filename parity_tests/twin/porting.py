"""Weights from torch to flax: every parameter of either side has one place, or there is an error that lists it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from . import rules, rules_recurrent  # noqa: F401 - the rules that every session knows
from .entries import Place, Setting, Unused, Zero
from .flax_side import FlaxSide
from .pairing import Pair, pairs
from .sides import PortError, Sides, joined
from .torch_side import TorchSide
from .traces import Trace


@dataclass
class Move:
    """A place with the whole names of its parameters, and the pair of layers it belongs to."""

    place: Place
    pair: Pair | None
    shape: tuple[int, ...]

    @property
    def layer(self) -> str:
        return self.pair.torch.title if self.pair else self.place.sources[0]

    @property
    def twin(self) -> str:
        return self.pair.flax.title if self.pair else self.place.target


@dataclass
class Plan:
    """Where everything goes.

    Attributes:
        pairs: the layers that are twins.
        moves: what makes each flax parameter.
        zeros: parts that one side alone has, with whole names.
        settings: torch layer title to the settings that differ.
        notes: what was left out, held or summed, with the reason.
        leftovers: what has no place.
        kept: flax arrays that stay as they are.
    """

    pairs: list[Pair]
    moves: list[Move] = field(default_factory=list)
    zeros: list[Zero] = field(default_factory=list)
    settings: dict[str, list[Setting]] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)

    def ported(self, arrays: Mapping[str, np.ndarray], flax: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The flax arrays that torch arrays make."""
        made = {move.place.target: move.place(dict(arrays), move.shape) for move in self.moves}
        for zero in self.zeros:
            if zero.side == "flax":
                made[zero.name] = np.zeros_like(flax[zero.name])
            elif np.any(zero.function(arrays[zero.name])):
                message = f"port: {zero.name} must be zero where {zero.reason}; got values that are not."
                raise PortError(message, (f"torch: {zero.name}",))
        return made

    def held(self, arrays: Mapping[str, np.ndarray], flax: Mapping[str, np.ndarray]) -> Sides:
        """Factors of the gradients in a training that both sides can do: 0 where one side has nothing to move."""
        ours: dict[str, np.ndarray] = {}
        theirs = {zero.name: np.zeros_like(flax[zero.name]) for zero in self.zeros if zero.side == "flax"}
        for move in self.moves:
            for source in move.place.sources[1:] if move.place.summed else ():
                numbers = numbered(arrays[source])
                factor = ours.setdefault(source, np.ones_like(arrays[source]))
                ours[source] = np.where(np.isin(numbers, move.place.share(source, numbers)), 0.0, factor)
        for zero in self.zeros:
            if zero.side == "torch":
                factor = ours.setdefault(zero.name, np.ones_like(arrays[zero.name]))
                hit = np.isin(numbered(arrays[zero.name]), zero.function(numbered(arrays[zero.name])))
                ours[zero.name] = np.where(hit, 0.0, factor)
        return Sides(ours, theirs)


def numbered(array: np.ndarray) -> np.ndarray:
    """The elements numbered from 1, in the shape of an array."""
    return np.arange(1, array.size + 1).reshape(array.shape)


def plan(
    torch: TorchSide, flax: FlaxSide, traces: tuple[Trace, Trace], names: Mapping[str, str], ignore: tuple[str, ...]
) -> Plan:
    """Pairs the layers and places every array, checking that each element has exactly one place."""
    ours, theirs = torch.arrays(), flax.arrays()
    owned = [layer for layer in torch.layers() if any(layer.owns(name) for name in ours if name not in names)]
    alone = set(names.values())
    known = [layer for layer in flax.layers() if any(layer.owns(name) for name in theirs if name not in alone)]
    made = Plan(pairs(owned, known, traces, names))
    uses = {name: np.zeros(array.shape, dtype=int) for name, array in ours.items()}
    for pair in made.pairs:
        _place(made, pair, ours, theirs, uses)
    _place_alone(made, names, ours, theirs, uses)
    _settle(made, ours, theirs, uses, ignore, torch.tied())
    return made


def _place(made: Plan, pair: Pair, ours: Any, theirs: Any, uses: dict[str, np.ndarray]) -> None:
    """The entries of one pair of layers, as far as both sides have what they speak of."""
    for entry in pair.rule.function(pair.torch.module, pair.flax.module):
        if isinstance(entry, Setting):
            made.settings.setdefault(pair.torch.title, []).extend([entry] if entry.differs else [])
        elif isinstance(entry, Unused | Zero):
            name = joined((pair.torch if entry.side == "torch" else pair.flax).name, entry.name)
            _leave(made, replace(entry, name=name), ours, theirs, uses)
        else:
            sources = tuple(joined(pair.torch.name, source) for source in entry.sources)
            place = replace(entry, sources=sources, target=joined(pair.flax.name, entry.target))
            if place.target in theirs and all(source in ours for source in sources):
                _move(made, place, pair, ours, theirs, uses)


def _leave(made: Plan, entry: Unused | Zero, ours: Any, theirs: Any, uses: dict[str, np.ndarray]) -> None:
    arrays = ours if entry.side == "torch" else theirs
    if entry.name not in arrays:
        return
    if isinstance(entry, Zero):
        made.zeros.append(entry)
        made.notes.append((f"{entry.side}: {entry.name}", f"zero, or a part of it, and held there: {entry.reason}"))
        if entry.side == "torch":
            uses[entry.name] += np.isin(numbered(arrays[entry.name]), entry.function(numbered(arrays[entry.name])))
    else:
        made.notes.append((f"{entry.side}: {entry.name}", f"left out: {entry.reason}"))
        if entry.side == "torch":
            uses[entry.name] += 1
        else:
            made.kept.add(entry.name)


def _move(made: Plan, place: Place, pair: Pair | None, ours: Any, theirs: Any, uses: dict[str, np.ndarray]) -> None:
    """Adds a place, counting which elements it takes."""
    shape = theirs[place.target].shape
    numbers, start = {}, 0
    for source in place.sources:
        numbers[source] = numbered(ours[source]) + (0 if place.summed else start)
        start += ours[source].size
    try:
        taken = [place.share(s, numbers[s]) for s in place.sources] if place.summed else [place(numbers, shape)]
    except ValueError as error:
        raise PortError(_unfit(place, pair, ours, shape, str(error))) from error
    if place.target in {move.place.target for move in made.moves}:
        raise PortError(_unfit(place, pair, ours, shape, "another place of the same parameter"))
    least = 0 if place.summed else 1
    if any(array.shape != shape or not _numbers(array, least, start) for array in taken):
        shapes = " and ".join(str(array.shape) for array in taken)
        raise PortError(_unfit(place, pair, ours, shape, f"the rule makes {shapes}, or computes new elements"))
    for source, array in zip(place.sources, taken if place.summed else taken * len(place.sources), strict=True):
        counts = np.bincount(np.ravel(array), minlength=start + 1)[numbers[source]]
        uses[source] += counts
    if place.summed:
        sources = " and ".join(place.sources)
        made.notes.append(
            (f"torch: {sources} as {place.target}", "summed in flax: in training the first moves and the rest is held")
        )
    made.moves.append(Move(place, pair, shape))


def _numbers(array: np.ndarray, least: int, most: int) -> bool:
    """Whether a function has only rearranged the numbers of elements; 0 fills up what a summand does not have."""
    whole = np.issubdtype(array.dtype, np.integer)
    return bool(whole and (not array.size or (array.min() >= least and array.max() <= most)))


def _unfit(place: Place, pair: Pair | None, ours: Any, shape: tuple[int, ...], why: str) -> str:
    sources = " and ".join(f"{source} {ours[source].shape}" for source in place.sources)
    where = f" of the pair {pair.title}" if pair else ""
    return (
        f"port: {sources}{where} must make flax's {place.target} of shape {shape}; got: {why}. "
        "If the pair is wrong, pair the layers with names={torch name: flax name}."
    )


def _place_alone(made: Plan, names: Mapping[str, str], ours: Any, theirs: Any, uses: dict[str, np.ndarray]) -> None:
    """Parameters that no layer owns: by the caller's names, else where one name and shape is on both sides."""
    taken = {move.place.target for move in made.moves} | {zero.name for zero in made.zeros} | made.kept
    layers = {(pair.torch.title, pair.flax.title) for pair in made.pairs}
    for one, other in names.items():
        if (one, other) in layers:
            continue
        if one not in ours or other not in theirs:
            side, name = ("torch", one) if one not in ours else ("flax", other)
            raise PortError(f"port: names must join layers or parameters; {side} has none that is called {name!r}.")
        bare = [[size for size in array.shape if size != 1] for array in (ours[one], theirs[other])]
        _move(made, Place((one,), other, (np.asarray,), reshape=bare[0] == bare[1]), None, ours, theirs, uses)
        taken.add(other)
    for name, array in ours.items():
        if not uses[name].any() and name in theirs and name not in taken and theirs[name].shape == array.shape:
            _move(made, Place((name,), name, (np.asarray,)), None, ours, theirs, uses)


def _settle(
    made: Plan, ours: Any, theirs: Any, uses: dict[str, np.ndarray], ignore: tuple[str, ...], tied: Mapping[str, str]
) -> None:
    """What is left: ignored by the caller, or listed."""
    made.notes += [(f"torch: {name}", f"tied to {first}") for name, first in tied.items()]
    done = {move.place.target for move in made.moves} | {zero.name for zero in made.zeros} | made.kept
    left = [("torch", name, array.shape) for name, array in ours.items() if not np.all(uses[name] == 1)]
    left += [("flax", name, array.shape) for name, array in theirs.items() if name not in done]
    for side, name, shape in left:
        if any(fnmatchcase(name, pattern) for pattern in ignore):
            made.notes.append((f"{side}: {name}", "ignored, as asked"))
        else:
            size = "×".join(map(str, shape)) or "scalar"
            twice = side == "torch" and np.any(uses[name] > 1)
            made.leftovers.append(f"{side}: {name} ({size}{', used more than once' if twice else ''})")


def refuse_leftovers(made: Plan) -> None:
    """Every parameter has a place, or this is the error that lists those that have none."""
    if made.leftovers:
        found = "; ".join(f"{pair.title}" for pair in made.pairs) or "none"
        raise PortError(
            f"port: every parameter must have a place on the other side; got left over: {', '.join(made.leftovers)}. "
            f"Pairs: {found}. Add a rule(...), pair by names=, or leave out by ignore=.",
            tuple(made.leftovers),
        )
