"""One pass of a linen model: an interceptor turns what it sees into scalars and sows them into a collection.

The scalars travel through ``nn.remat``, ``nn.scan``, ``nn.vmap`` and ``nn.jit`` as every collection does; a Python list
would leak tracers. A lifted transform that keeps collections out must be told of :data:`COLLECTION`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from operator import add
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.linen.recurrent import DenseParams

from ._spec.select import Candidate
from .linen_errors import dropped_gradient, hidden, undeclared, unstacked
from .result import Scalars
from .sites import Site, chosen, joined, silent
from .walk import Seen, leaves, paths, remember

COLLECTION = "twinreg_penalties"
"""The collection to declare under a lifted transform, as in ``nn.scan(..., variable_axes={COLLECTION: 0})``."""

SOWN = "intermediates"
_SEEN = "twinreg_seen"
_KEY = "twinreg_loops_"
_LOOPS = ("scan", "vmap")
_listening = threading.local()
_TAP = "jaxreg.linen.Tap"
_KNOWN = " A module that did not run is known by its parameters, or from setup."
_DECLARED = "jaxreg.linen.COLLECTION in it, as in nn.scan(..., variable_axes={jaxreg.linen.COLLECTION: 0})"


class Pass:
    """What one pass sees and sows.

    Args:
        sites: the activation terms.
        owners: whether parameters will be resolved, so that the modules that own them must be known.
        grows: whether the collection may grow anywhere. Then every module sows what it is, for a later pass that
            ``nn.jit`` serves without running it; and what is measured outside of all lifted transforms is kept aside,
            because ``nn.scan`` would slice it. Otherwise the selected modules alone sow, and all into the collection.
        method: the ``method=`` of the call, whose output is that of the root.
    """

    def __init__(self, sites: tuple[Site, ...], owners: bool, grows: bool, method: Any) -> None:
        self.sites = sites
        self.modules: dict[str, nn.Module] = {}
        self.seen: dict[str, Seen] = {}
        self.attempted: dict[tuple[str, str], bool] = {}
        self._owners = owners
        self._grows = grows
        self._root: Any = None
        self._aside: dict[tuple[str, str], Any] = {}
        self._entry = method if isinstance(method, str) else getattr(method, "__name__", "__call__")
        self._calls: dict[str, list[Any]] = {}
        self._depths: dict[str, int] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hears the methods of linen modules in this thread, until a pass inside this one does."""
        _listening.passes = (*getattr(_listening, "passes", ()), self)
        try:
            with nn.intercept_methods(self._intercept):
                yield
        finally:
            _listening.passes = _listening.passes[:-1]

    def _intercept(self, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any], context: Any) -> Any:
        """Runs a method, and turns what it yields and sows into scalars."""
        module = context.module
        if not self._hears(module):
            return call(*args, **kwargs)
        name = ".".join(module.path)
        outermost = not self._depths.get(name)
        before = self._sown(module, name) if outermost else {}
        self._depths[name] = self._depths.get(name, 0) + 1
        counts, running = self._counts(context, name), self._calls.setdefault(name, [])
        running += [context.orig_method.func] if counts else []
        try:
            output = call(*args, **kwargs)
        finally:
            self._depths[name] -= 1
            running[len(running) - counts :] = []
        if outermost:
            self._take_sown(module, name, before)
        if counts:
            self._take(module, name, {**dict(enumerate(args)), **kwargs}, output)
        return output

    def _hears(self, module: nn.Module) -> bool:
        """Whether a module is of this pass: bound, not being initialized, and of the model, not of another apply."""
        if module.scope is None or module.is_initializing() or _listening.passes[-1] is not self:
            return False
        if _transforms(module.scope):
            return True
        self._root = self._root or module.scope.root
        return module.scope.root is self._root

    def _counts(self, context: Any, name: str) -> bool:
        """Whether a method is a call of the module: ``__call__``, at the root ``method=``. What runs inside one counts
        only where the module calls itself again: a ``super().__call__()`` is another function.
        """
        if context.method_name != "__call__" and (name or context.method_name != self._entry):
            return False
        running = self._calls.get(name)
        return not running or context.orig_method.func in running

    def _take(self, module: nn.Module, name: str, inputs: dict[Any, Any], output: Any) -> None:
        self.modules[name] = module
        self.seen[name] = seen = remember(module, self._owners)
        if self._grows:
            module.sow(COLLECTION, _SEEN, seen, lambda _, new: new, lambda: seen)
        if isinstance(module, DenseParams):
            return  # what it returns are weights
        for site in self.sites:
            if site.wants((name,), type(module)) is not None:
                scalar = site.penalty(name, module, type(module), inputs, output)
                self._sow(module, name, str(site.number), scalar)

    def _sow(self, module: nn.Module, name: str, what: str, scalar: Any) -> None:
        around = _transforms(module.scope)
        if "custom_vjp" in around:
            raise RuntimeError(dropped_gradient(name))
        key = f"{_KEY}{sum(transform in _LOOPS for transform in around)}_{what}"
        if self._grows and not around:
            before = self._aside.get((name, key))
            self._aside[name, key] = scalar if before is None else before + scalar
            return
        self.attempted[name, key] = bool(around)
        if around:
            self._check_before(module, name, key)
        module.sow(COLLECTION, key, scalar, jnp.add, lambda: jnp.zeros((), scalar.dtype))

    def _check_before(self, module: nn.Module, name: str, key: str) -> None:
        """Refuses a lifted transform that takes no notice of what earlier calls have sown, or whose turns share it."""
        before = module.get_variable(COLLECTION, key)
        if before is not None and jnp.ndim(before):
            raise RuntimeError(unstacked(name))
        if before is None and self._root is not None:
            first, *rest = (*module.path, key)
            found = self._root.get_variable(COLLECTION, first)
            for segment in rest:
                found = found.get(segment) if isinstance(found, Mapping) else None
            if found is not None:
                raise RuntimeError(hidden(name))

    def _sown(self, module: nn.Module, name: str) -> dict[str, Any]:
        """What the module itself has sown so far."""
        if not any(site.listens(name) for site in self.sites):
            return {}
        found = module.variables.get(SOWN, {})
        return {key: value for key, value in found.items() if key != "__call__" and not isinstance(value, Mapping)}

    def _take_sown(self, module: nn.Module, name: str, before: dict[str, Any]) -> None:
        """Counts what a call has sown, here, where a lifted transform has not yet stacked it."""
        for key, value in self._sown(module, name).items():
            full, old = joined(name, key), before.get(key)
            if old is value:
                continue
            for site in (site for site in self.sites if site.wants_sown(full)):
                new = value[len(old or ()) :] if isinstance(value, tuple) else (value,)
                scalars = [site.penalty_of_sown(full, x) for x in new]
                if old is not None and not isinstance(value, tuple):
                    scalars.append(
                        -site.penalty_of_sown(full, old)
                    )  # the model reduces: what it keeps in the end counts
                if scalars:
                    self._sow(module, name, f"{site.number}.{key}", reduce(add, scalars))

    def check(self, delivered: Any) -> None:
        """Refuses a pass in which something was sown that did not arrive, or arrived once from all turns of a loop."""
        arrived = {(name, key): value for name, key, value in _scalars(delivered)}
        for name, key in self.attempted:
            if (name, key) not in arrived:
                raise RuntimeError(undeclared(name))
        for (name, key), value in arrived.items():
            if jnp.ndim(value) < int(key.removeprefix(_KEY).partition("_")[0]):
                raise RuntimeError(unstacked(name))

    def names(self) -> set[str]:
        """The modules that sowed inside lifted transforms."""
        return {name for (name, _), lifted in self.attempted.items() if lifted}

    def owned(self, delivered: Any) -> dict[str, Seen]:
        """The modules of the pass: those that ran, and those of a trace that ``nn.jit`` kept from an earlier pass."""
        kept = {".".join(path[:-1]): value for path, value in leaves(delivered) if path[-1] == _SEEN}
        return {**kept, **self.seen}

    def collect(self, delivered: Any, sown: Any, params: Any) -> dict[int, Scalars]:
        """The scalars of every activation term, by name."""
        if not self.sites:
            return {}
        aside = [(name, key, value) for (name, key), value in self._aside.items()]
        seen = self.owned(delivered)
        kinds: dict[str, type | None] = {name: one.kind for name, one in seen.items() if one.kind is not DenseParams}
        own = [".".join(path) for path, _ in leaves(sown) if path[-1] != "__call__"]
        unrun = [name for name in paths(params) if name not in seen]
        children = {joined(above, name): kind for above, one in seen.items() for name, kind in one.children}
        kinds = {**kinds, **{n: kind for n, kind in children.items() if n not in kinds and kind is not DenseParams}}
        skipped = [name for name in dict.fromkeys([*unrun, *children]) if name not in seen]
        scalars: dict[int, Scalars] = {}
        for site in self.sites:
            found = _of(site, [*aside, *_scalars(delivered)])
            names = dict.fromkeys([*kinds, *(own if site.target.of == "output" else ()), *unrun])
            candidates = [Candidate((name,), (), kinds.get(name)) for name in names]
            for name in chosen(site.target, candidates, skipped, _TAP, _KNOWN):
                if name not in found and (name in own or site.target.missing == "error"):
                    raise RuntimeError(silent(name, _TAP, _DECLARED))
            scalars[site.number] = found
        return scalars


def _scalars(delivered: Any) -> Iterator[tuple[str, str, Any]]:
    """Every (module, key, value) that was sown; a transform has stacked the value."""
    for path, value in leaves(delivered):
        if path[-1].startswith(_KEY):
            yield ".".join(path[:-1]), path[-1], value


def _of(site: Site, arrived: list[tuple[str, str, Any]]) -> Scalars:
    """What arrived for one term; every call counts."""
    found: Scalars = {}
    for module, key, value in arrived:
        what, _, own = key.removeprefix(_KEY).partition("_")[2].partition(".")
        if what == str(site.number):
            name = joined(module, own) if own else module
            scalar = jnp.sum(value)  # also of a scalar: one that a transform of jax let escape is refused here
            found[name] = found[name] + scalar if name in found else scalar
    return found


def calls(sown: Any) -> tuple[Any, ...]:
    """The value of each call: ``sow`` keeps a tuple with one entry per call, unless the model reduces otherwise."""
    return sown if isinstance(sown, tuple) else (sown,)


def _transforms(scope: Any) -> list[str]:
    """The lifted transforms around a module, such as ``scan``: Flax writes them into the path that it shows."""
    return [transform for segment in scope.debug_path for transform in segment.split("(")[:-1]]
