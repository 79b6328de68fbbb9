"""The mutants of a source: the operators are cosmic-ray's, chosen in ``config.toml``; each mutant is one text."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import cosmic_ray.plugins
import parso


@dataclass(frozen=True)
class Mutant:
    """One change to one source; ``scope`` is the class and the function that it is in."""

    source: str
    operator: str
    line: int
    scope: str
    before: str
    after: str
    text: str
    same: int = 0

    @property
    def name(self) -> str:
        """What a mutant is known by as long as its line is not edited, wherever that line stands."""
        again = f" | {self.same}" * bool(self.same)
        return f"{self.source} | {self.scope} | {self.before} | {self.after}{again}"


def mutants(root: Path, source: str, operators: list[str]) -> list[Mutant]:
    """Every mutant of a source that compiles, is another program, and is not in an annotation, which nothing runs."""
    text = (root / source).read_text(encoding="utf-8")
    known, found = {ast.dump(ast.parse(text))}, []
    for operator in operators:
        tree = parso.parse(text)
        kind = cosmic_ray.plugins.get_operator(f"core/{operator}")()
        places = [(node, i) for node in _nodes(tree) for i, _ in enumerate(kind.mutation_positions(node))]
        for node, index in places:
            if _in_annotation(node):
                continue
            changed = _mutated(tree, kind, node, index)
            assert tree.get_code() == text, (operator, node)
            if (program := _dumped(changed)) and program not in known:
                known.add(program)
                found.append(_described(source, operator, node, text, changed))
    names: Counter[str] = Counter()
    told = []
    for mutant in sorted(found, key=lambda mutant: mutant.line):
        told.append(replace(mutant, same=names[mutant.name]))
        names[mutant.name] += 1
    return told


def sampled(found: list[Mutant], share: float, seed: int) -> list[Mutant]:
    """A share of a source's mutants, drawn by the seed, in the order of the source; a larger share holds a smaller."""
    drawn = list(range(len(found)))
    Random(f"{seed} {found[0].source if found else ''}").shuffle(drawn)
    return [found[index] for index in sorted(drawn[: math.ceil(share * len(found))])]


def _mutated(tree: Any, kind: Any, node: Any, index: int) -> str:
    """The code with an operator applied to one node; the tree is left as it was."""
    siblings = node.parent.children
    place = next(i for i, child in enumerate(siblings) if child is node)
    parts = list(getattr(node, "children", ()))
    values = [(leaf, leaf.value) for leaf in (node, *parts) if hasattr(leaf, "value")]
    siblings[place] = kind.mutate(node, index)
    code = tree.get_code()
    siblings[place] = node
    if parts:
        node.children[:] = parts
    for leaf, value in values:
        leaf.value = value
    return code


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in getattr(node, "children", ()):
        yield from _nodes(child)


def _in_annotation(node: Any) -> bool:
    while (parent := node.parent) is not None:
        place = next(i for i, child in enumerate(parent.children) if child is node)
        before = parent.children[place - 1] if place else None
        if (parent.type == "annassign" and place == 1) or (parent.type == "tfpdef" and before == ":"):
            return True
        if parent.type == "funcdef" and before == "->":
            return True
        node = parent
    return False


def _dumped(text: str) -> str:
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        return ""


def _described(source: str, operator: str, node: Any, text: str, changed: str) -> Mutant:
    pairs = zip(text.splitlines(), changed.splitlines(), strict=False)
    line, (before, after) = next((i, pair) for i, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    scope = []
    while node is not None:
        if node.type in ("classdef", "funcdef"):
            scope.append(node.name.value)
        node = node.parent
    return Mutant(source, operator, line, ".".join(reversed(scope)), before.strip(), after.strip(), changed)
