"""Which layer of one model is which layer of the other.

A module is a layer where a rule joins its type with a type that the other model has; what is inside a layer belongs to
it. Layers are paired by the names that the caller gives, and the rest one by one in the order of their first call,
each group of types by itself. Where the numbers differ there is no guess, but an error that shows both sequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .registry import Rule, groups, rule_for
from .sides import PortError
from .traces import Layer, Trace


@dataclass(frozen=True)
class Pair:
    """A torch layer, its flax twin and the rule between them."""

    torch: Layer
    flax: Layer
    rule: Rule

    @property
    def title(self) -> str:
        return f"{self.torch.title} = {self.flax.title}"


def pairs(torch: list[Layer], flax: list[Layer], traces: tuple[Trace, Trace], names: Mapping[str, str]) -> list[Pair]:
    """Every layer with its twin, in the order of torch's calls."""
    ours_group, theirs_group = groups((layer.kind for layer in torch), (layer.kind for layer in flax))
    ours, theirs = _outermost(torch, ours_group, traces[0]), _outermost(flax, theirs_group, traces[1])
    found = _named(torch, flax, names)
    ours = [layer for layer in ours if not _taken(layer, [pair.torch for pair in found])]
    theirs = [layer for layer in theirs if not _taken(layer, [pair.flax for pair in found])]
    for group in dict.fromkeys(ours_group.values()):
        left = [layer for layer in ours if ours_group[layer.kind] == group]
        right = [layer for layer in theirs if theirs_group[layer.kind] == group]
        found += _in_order(left, right)
    position = {id(layer): number for number, layer in enumerate(_ordered(torch, traces[0]))}
    return sorted(found, key=lambda pair: position[id(pair.torch)])


def _ordered(layers: Iterable[Layer], trace: Trace) -> list[Layer]:
    return sorted(layers, key=lambda layer: trace.order(layer.name))


def _outermost(layers: list[Layer], group: Mapping[type, int], trace: Trace) -> list[Layer]:
    """The layers of known types that are inside no other, in the order of their first call."""
    known = [layer for layer in layers if layer.kind in group]
    return _ordered((layer for layer in known if not any(_inside(layer, other) for other in known)), trace)


def _inside(layer: Layer, other: Layer) -> bool:
    return layer.name != other.name and (not other.name or layer.name.startswith(f"{other.name}."))


def _taken(layer: Layer, named: Sequence[Layer]) -> bool:
    return any(layer is other or _inside(layer, other) or _inside(other, layer) for other in named)


def _named(torch: list[Layer], flax: list[Layer], names: Mapping[str, str]) -> list[Pair]:
    """The pairs that the caller names, where both names are layers."""
    ours, theirs = ({layer.title: layer for layer in layers} for layers in (torch, flax))
    found: list[Pair] = []
    for one, other in names.items():
        if one not in ours or other not in theirs:
            continue
        rule = rule_for(ours[one].kind, theirs[other].kind)
        if rule is None:
            kinds = f"{ours[one].kind.__name__} and {theirs[other].kind.__name__}"
            raise PortError(f"port: names must join types that have a rule; got {one!r} and {other!r}: {kinds}.")
        found.append(Pair(ours[one], theirs[other], rule))
    return found


def _in_order(ours: list[Layer], theirs: list[Layer]) -> list[Pair]:
    """One by one."""
    found: list[Pair] = []
    for one, other in zip(ours, theirs, strict=False):
        rule = rule_for(one.kind, other.kind)
        if rule is None:
            raise PortError(_sequences(ours, theirs, f"{one.title} and {other.title} have no rule"))
        found.append(Pair(one, other, rule))
    if len(ours) != len(theirs):
        raise PortError(
            _sequences(ours, theirs, f"there are {len(ours)} and {len(theirs)} of them"), _both(ours, theirs)
        )
    return found


def _both(ours: list[Layer], theirs: list[Layer]) -> tuple[str, ...]:
    count = min(len(ours), len(theirs))
    return tuple(
        [f"torch: {layer.title}" for layer in ours[count:]] + [f"flax: {layer.title}" for layer in theirs[count:]]
    )


def _sequences(ours: list[Layer], theirs: list[Layer], what: str) -> str:
    left, right = (
        ", ".join(f"{layer.title} ({layer.kind.__name__})" for layer in layers) or "none" for layers in (ours, theirs)
    )
    return (
        f"port: layers of one kind must come in the same order and number on both sides; {what}. "
        f"torch: {left}. flax: {right}. Pair them with names={{torch name: flax name}}."
    )
