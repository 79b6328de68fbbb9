"""The packages are twins: the same public names, files, signatures and docstrings, and equal bytes in ``_spec``."""

from __future__ import annotations

import inspect
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import Any

import pytest

from parity_tests.backends import package

# Only capture may differ: PyTorch attaches hooks to a model, Flax has two kinds of model with a room of its own each.
TORCH_NAMES = {"Penalize", "PenaltyGradients", "Tap", "Tape"}
JAX_NAMES = {"PenaltyGradientsState", "linen", "nnx"}
TORCH_FILES = {"closed.py", "fused.py", "hooks.py", "lists.py", "lost.py", "saved.py", "stored.py"}
JAX_FILES = {
    "evaluate.py",
    "linen.py",
    "linen_errors.py",
    "linen_pass.py",
    "nnx.py",
    "nnx_lost.py",
    "nnx_pass.py",
    "nnx_scalars.py",
    "sites.py",
    "turns.py",
}
TORCH_MEMBERS = {"Regularizer": {"attach"}}
JAX_MEMBERS = {
    "Regularizer": {"evaluate"},
    "BoundRegularizer": {"evaluate", "tree_flatten", "tree_unflatten"},
}
# What only one framework has: a pytree, an optimizer that is a function, and what a linen module needs beside inputs.
OWN_WORDS = {"Regularizer.apply", "Regularizer.describe", "BoundRegularizer", "add_penalty_gradients"}
OWN_SIGNATURES = {"Regularizer.describe", "add_penalty_gradients"}


def twins() -> tuple[ModuleType, ModuleType]:
    """Both packages; skips where a framework is absent."""
    return package("torch"), package("jax")


def sources(package: str) -> dict[str, Traversable]:
    """Every Python file of a package by its path inside; the package is not imported."""
    root = files("parity_tests").joinpath("..", package)
    return dict(walk(root, ""))


def walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    """Path and file of every Python source below a folder."""
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((f"{prefix}{entry.name}", entry))
    return found


def shared_names() -> list[str]:
    """The public names that both packages have."""
    m, _ = twins()
    return sorted(set(m.__all__) - TORCH_NAMES)


def public(module: ModuleType) -> dict[str, Any]:
    """What the shared names stand for; those of a module in ``__all__`` too, as ``module.name``."""
    found: dict[str, Any] = {}
    for name in shared_names():
        found[name] = thing = getattr(module, name)
        if inspect.ismodule(thing):
            found |= {f"{name}.{inner}": getattr(thing, inner) for inner in thing.__all__}
    return found


def members(cls: type, own: set[str]) -> dict[str, Any]:
    """The public methods that a class has, and its constructor and call; not those of its framework alone."""
    wanted = ("__init__", "__call__", "__post_init__")
    return {
        name: member
        for name, member in inspect.getmembers(cls, callable)
        if (not name.startswith("_") or name in wanted) and name not in own and hasattr(member, "__qualname__")
    }


def signature(thing: Any) -> str:
    """The signature as text, with the array types of both frameworks called Array and the model types Model."""
    text = str(inspect.signature(thing))
    text = re.sub(r"\b(Tensor|torch\.Tensor|jax\.Array)\b", "Array", text)
    return re.sub(r"\bnn\.Module\b", "Any", text)


def kinds_first(name: str) -> tuple[bool, bool, str]:
    """The order of ``__all__``: constants and the like, classes, functions."""
    return not name.isupper(), not name[0].isupper(), name


def test_public_names_are_the_same() -> None:
    """``__all__`` is sorted and equal, up to the written list of names of capture."""
    m, n = twins()
    assert set(m.__all__) - TORCH_NAMES == set(n.__all__) - JAX_NAMES
    for module in (m, n):
        assert len(set(module.__all__)) == len(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
        assert module.__all__ == sorted(module.__all__, key=kinds_first)


def test_what_only_one_has_is_there() -> None:
    """The names on the written lists exist, so the lists do not outlive them."""
    m, n = twins()
    assert all(hasattr(m, name) for name in TORCH_NAMES)
    assert all(hasattr(n, name) for name in JAX_NAMES)
    for name in ("Tap", "Penalize"):
        first = {str(inspect.getdoc(getattr(room, name))).splitlines()[0] for room in (m, n.linen, n.nnx)}
        assert len(first) == 1, first


def test_signatures_are_the_same() -> None:
    """Every public function and class, and every public method, takes the same arguments with the same defaults."""
    ours, others = map(public, twins())
    assert ours.keys() == others.keys()
    for name, one in ours.items():
        other = others[name]
        if inspect.ismodule(one):
            continue
        assert inspect.isclass(one) == inspect.isclass(other), name
        assert name in OWN_SIGNATURES or signature(one) == signature(other), name
        if not inspect.isclass(one):
            continue
        mine, theirs = members(one, TORCH_MEMBERS.get(name, set())), members(other, JAX_MEMBERS.get(name, set()))
        assert mine.keys() == theirs.keys(), name
        for method, function in mine.items():
            if f"{name}.{method}" not in OWN_SIGNATURES:
                assert signature(function) == signature(theirs[method]), f"{name}.{method}"


def test_docstrings_are_the_same_word_for_word() -> None:
    """Every public name and method has a docstring, and the twins have the same, but for the written list."""
    ours, others = map(public, twins())
    for name, one in ours.items():
        other = others[name]
        pairs = {name: (one, other)}
        if inspect.isclass(one):
            theirs = members(other, JAX_MEMBERS.get(name, set()))
            for method, function in members(one, TORCH_MEMBERS.get(name, set())).items():
                pairs[f"{name}.{method}"] = (function, theirs[method])
        for what, (left, right) in pairs.items():
            assert inspect.getdoc(left) or what.endswith(("__init__", "__post_init__")), what
            if what not in OWN_WORDS:
                assert inspect.getdoc(left) == inspect.getdoc(right), what


def test_specification_has_the_same_bytes() -> None:
    """``_spec`` is one text in two places, and needs nothing but the standard library."""
    one, other = ({k: v for k, v in sources(p).items() if k.startswith("_spec/")} for p in ("torchreg", "jaxreg"))
    assert one.keys() == other.keys()
    assert one
    for path, file in one.items():
        assert file.read_bytes() == other[path].read_bytes(), path
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not re.match(r"\s*(import|from) (torch|jax|flax|numpy|optax)\b", line), (path, line)


def test_files_have_the_same_names() -> None:
    """Every file has its twin, up to the written list of files of capture."""
    one, other = set(sources("torchreg")), set(sources("jaxreg"))
    assert one - TORCH_FILES == other - JAX_FILES
    assert one >= TORCH_FILES
    assert other >= JAX_FILES


@pytest.mark.parametrize(("name", "foreign"), [("torchreg", r"jax|flax|optax|jaxreg"), ("jaxreg", r"torch|torchreg")])
def test_neither_package_names_the_other_framework_in_an_import(name: str, foreign: str) -> None:
    """No source imports the other framework or the other package, at the top or inside a function."""
    for path, file in sources(name).items():
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not re.match(rf"\s*(import|from) ({foreign})\b", line), (path, line)


def test_sources_are_short() -> None:
    """No source file of either package or of the suite has 250 lines."""
    for name in ("torchreg", "jaxreg", "parity_tests"):
        for path, file in sources(name).items():
            assert len(file.read_text(encoding="utf-8").splitlines()) < 250, f"{name}/{path}"
