"""The names in a model: every module and parameter under each of its dotted paths, in linen trees and nnx graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.core import meta

from ._spec.layout import Layout
from ._spec.select import Candidate
from .owners import layout_of, role_of


@dataclass(frozen=True)
class ModuleEntry:
    """A module that can be called, with all its names."""

    candidate: Candidate
    module: Any


@dataclass(frozen=True)
class ParameterEntry:
    """A parameter, with all its names."""

    candidate: Candidate
    array: Any
    layouts: tuple[Layout | None, ...]


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf of nested mappings, with the keys that lead to it."""
    if isinstance(tree, Mapping):
        for key, inner in tree.items():
            yield from leaves(inner, (*path, str(key)))
    else:
        yield path, tree


def tree_parameters(params: Any, modules: Mapping[str, Any]) -> list[ParameterEntry]:
    """The parameters of a linen tree; ``modules`` are the owners that a pass has seen, by path."""
    entries = []
    for path, leaf in leaves(params):
        array = meta.unbox(leaf)
        owner, rank = modules.get(".".join(path[:-1])), jnp.ndim(array)
        candidate = Candidate((".".join(path),), (role_of(owner, path[-1]),))
        entries.append(ParameterEntry(candidate, array, (layout_of(owner, path[-1], rank),)))
    return entries


def nodes(model: nnx.Module) -> list[ModuleEntry]:
    """The nnx modules that a pass can call, once each; ``nnx.List`` and its like are never called."""
    names: dict[int, tuple[nnx.Module, list[str]]] = {}
    for path, _, node in _walk(model):
        if isinstance(node, nnx.Module) and callable(node):
            names.setdefault(id(node), (node, []))[1].append(".".join(path))
    return [ModuleEntry(Candidate(tuple(found), (), type(node)), node) for node, found in names.values()]


def node_parameters(model: nnx.Module) -> list[ParameterEntry]:
    """The parameters of an nnx model, once each; a tied one with every name, role and layout that it has."""
    found: dict[int, tuple[Any, dict[str, tuple[str | None, Layout | None]]]] = {}
    modules: dict[tuple[str, ...], Any] = {}
    for path, owner, node in _walk(model):
        modules[path] = node
        if isinstance(node, nnx.Param):
            array, leaf = node.get_value(), path[-1]
            names = found.setdefault(id(node), (array, {}))[1]
            layout = layout_of(owner, leaf, jnp.ndim(array), modules.get(path[:-2]), "".join(path[-2:-1]))
            names.setdefault(".".join(path), (role_of(owner, leaf), layout))
    return [
        ParameterEntry(
            Candidate(tuple(names), tuple(role for role, _ in names.values())),
            array,
            tuple(layout for _, layout in names.values()),
        )
        for array, names in found.values()
    ]


def _walk(
    node: Any, path: tuple[str, ...] = (), owner: Any = None, above: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Every (path, owner, node) of an nnx graph, a shared node under each of its paths; a cycle is walked once."""
    if id(node) in above:
        return
    if isinstance(node, nnx.Module | nnx.Variable):
        yield path, owner, node
    if isinstance(node, nnx.Variable):
        return
    inside = node if isinstance(node, nnx.Module) else owner
    for key, child in _children(node):
        yield from _walk(child, (*path, str(key)), inside, (*above, id(node)))


def _children(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, nnx.Module):
        return [(key, child) for key, child in vars(node).items() if not key.startswith(("_pytree__", "__"))]
    if isinstance(node, Mapping):
        return list(node.items())
    if isinstance(node, tuple | list):
        return list(enumerate(node))
    return []
