"""The names in a model: every module and parameter under each of its dotted paths, in linen trees and nnx graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from flax.core import meta

from ._spec.layout import Layout, fitting
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


@dataclass(frozen=True)
class Leaf:
    """A parameter as its owner sees it, inside every lifted transform."""

    role: str | None
    layout: Layout | None
    shape: tuple[int, ...]

    def outside(self, shape: tuple[int, ...]) -> Layout | None:
        """The native axes of the whole array, whose additional axes are those of ``nn.scan`` or ``nn.vmap``."""
        rank, more = len(self.shape), len(shape) - len(self.shape)
        inside = fitting(self.layout, rank)
        if more <= 0 or inside is None:
            return self.layout
        if "..." in inside:
            at = inside.index("...")
            inside = inside[:at] + tuple(f"k{i}" for i in range(rank - len(inside) + 1)) + inside[at + 1 :]
        if shape[more:] == self.shape:
            return ("piece",) * more + inside
        for i in range(1, len(shape)):
            if more == 1 and shape[:i] + shape[i + 1 :] == self.shape:
                return (*inside[:i], "piece", *inside[i:])
        return None


@jax.tree_util.register_static
@dataclass(frozen=True)
class Seen:
    """What a pass knows of a linen module: static, so that a trace that ``nn.jit`` keeps tells it again."""

    kind: type
    leaves: tuple[tuple[str, Leaf], ...]
    children: tuple[tuple[str, type], ...]


def remember(module: linen.Module, owners: bool) -> Seen:
    """What a pass must know of a module; with its parameters where they will be asked for."""
    own = module.variables.get("params", {}) if owners else {}
    found = {name: meta.unbox(leaf) for name, leaf in own.items() if not isinstance(leaf, Mapping)}
    shapes = {name: tuple(jnp.shape(array)) for name, array in found.items()}
    layouts = {name: layout_of(module, name, len(shape)) for name, shape in shapes.items()}
    children = module._state.children.items()  # those of setup are there before they run, and if they never do
    return Seen(
        type(module),
        tuple((name, Leaf(role_of(module, name), layouts[name], shape)) for name, shape in shapes.items()),
        tuple((name, type(child)) for name, child in children if isinstance(child, linen.Module)),
    )


def paths(tree: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The path of everything in nested mappings that is not a leaf."""
    for key, inner in tree.items():
        if isinstance(inner, Mapping):
            yield ".".join((*path, str(key)))
            yield from paths(inner, (*path, str(key)))


def tree_parameters(params: Any, modules: Mapping[str, Seen]) -> list[ParameterEntry]:
    """The parameters of a linen tree or of an ``nnx.State``; ``modules``: the owners that a pass has seen, by path."""
    entries = []
    for path, leaf in leaves(params):
        array = leaf[...] if isinstance(leaf, nnx.Variable) else meta.unbox(leaf)
        owner, shape = modules.get(".".join(path[:-1])), tuple(jnp.shape(array))
        known = dict(owner.leaves).get(path[-1]) if owner is not None else None
        if known is None:
            known = Leaf(role_of(None, path[-1]), layout_of(None, path[-1], len(shape)), shape)
        entries.append(ParameterEntry(Candidate((".".join(path),), (known.role,)), array, (known.outside(shape),)))
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
