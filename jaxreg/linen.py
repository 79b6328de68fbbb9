"""Capture for Flax linen: an interceptor turns what it sees into scalars and sows them into a collection of its own.

The scalars travel through ``nn.remat``, ``nn.scan``, ``nn.vmap`` and ``nn.jit`` as every collection does; a Python list
would leak tracers. A lifted transform that keeps collections out must be told of :data:`COLLECTION`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core.scope import in_filter, union_filters

from . import measure
from ._spec.errors import sentence
from ._spec.names import matcher
from ._spec.select import Candidate, is_of_type, select_modules, select_params
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term, missing_mask
from .outputs import pick
from .owners import FEATURE_LAST, owner_of
from .result import Penalties, Scalars, Values, assemble
from .walk import ModuleEntry, ParameterEntry, leaves, tree_parameters

COLLECTION = "twinreg_penalties"
"""The collection to declare under a lifted transform, as in ``nn.scan(..., variable_axes={COLLECTION: 0})``."""

_SOWN = "intermediates"
_fresh = itertools.count()


class Tap(nn.Module):
    """The identity, as a module: names a tensor that no module outputs, so that a target can select it.

    >>> import jax.numpy as jnp
    >>> Tap().apply({}, jnp.ones(2))
    Array([1., 1.], dtype=float32)
    """

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return x


def run(
    terms: tuple[Term, ...], values: Values, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Penalties]:
    """One pass of ``model.apply`` under the interceptor; ``(y, state)`` where the caller asked for ``mutable``."""
    if not args or not isinstance(args[0], Mapping):
        got = type(args[0]).__name__ if args else None
        raise TypeError(sentence("Regularizer.apply", "variables", "the variables of a linen module, a mapping", got))
    options = dict(kwargs)
    wanted = options.pop("mutable", False)
    variables = {name: tree for name, tree in args[0].items() if name not in (COLLECTION, _SOWN)}
    pass_ = _Pass(terms, values)
    ours = [COLLECTION, _SOWN, _salt(terms, values)]
    with nn.intercept_methods(pass_.intercept):
        output, state = model.apply(variables, *args[1:], mutable=union_filters(wanted, ours), **options)
    rest = {name: tree for name, tree in state.items() if name != COLLECTION}
    sown = rest.get(_SOWN, {}) if in_filter(wanted, _SOWN) else rest.pop(_SOWN, {})
    scalars = pass_.collect(state.get(COLLECTION, {}), sown)
    for i, term in enumerate(terms):
        if isinstance(term.target, ParamsTarget):
            updated = rest.get("params", variables.get("params", {}))
            scalars[i] = _parameters(term, term.target, tree_parameters(updated, pass_.seen))
    return (output if wanted is False else (output, rest)), assemble(terms, scalars, values)


def _salt(terms: tuple[Term, ...], values: Values) -> str:
    """A collection name that changes with the configuration: ``nn.jit`` would otherwise serve the trace of another.

    Masks are closed over, so under them every trace is new.
    """
    return f"{COLLECTION}_{next(_fresh) if values.masks else hash((terms, values.axis_name))}"


class _Pass:
    """What one pass sees and sows."""

    def __init__(self, terms: tuple[Term, ...], values: Values) -> None:
        self.terms = terms
        self.values = values
        self.seen: dict[str, nn.Module] = {}
        self.lost: list[str] = []
        self._running: list[str] = []

    def intercept(self, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any], context: Any) -> Any:
        """Runs a method; the outermost ``__call__`` of a module counts, not a ``super().__call__`` inside it."""
        module, name = context.module, ".".join(context.module.path)
        if context.method_name != "__call__" or name in self._running or module.is_initializing():
            return call(*args, **kwargs)
        self.seen[name] = module
        self._running.append(name)
        try:
            output = call(*args, **kwargs)
        finally:
            self._running.remove(name)
        for i, term in enumerate(self.terms):
            if isinstance(term.target, ActivationsTarget) and _selected(term.target, name, type(module)):
                inputs = {**dict(enumerate(args)), **kwargs}
                self._sow(i, term, term.target, module, name, inputs if term.target.of == "input" else output)
        return output

    def _sow(self, i: int, term: Term, target: ActivationsTarget, module: nn.Module, name: str, value: Any) -> None:
        owner = owner_of(type(module))
        primary = owner.primary if target.of == "output" else 0
        x = pick(name, target.of, value, target.index, owner.primary if target.of == "output" else None)
        layout = owner.output_layout(module, x.ndim) if target.index in (None, primary) else FEATURE_LAST
        scalar = self.measure(term, target, name, x, layout)
        if not module.sow(COLLECTION, _key(i), scalar, jnp.add, lambda: jnp.zeros((), scalar.dtype)):
            self.lost.append(name)

    def measure(self, term: Term, target: ActivationsTarget, name: str, x: Any, layout: Any) -> Any:
        mask = None
        if target.mask is not None:
            if target.mask not in self.values.masks:
                raise ValueError(missing_mask(term, target.mask))
            mask = self.values.masks[target.mask]
        return measure.activation(term, target, name, x, layout, mask, self.values.axis_name)

    def collect(self, delivered: Any, sown: Any) -> list[Scalars]:
        """The scalars of every activation term by path: those of the collection and those of the model's own sows."""
        if self.lost:
            raise RuntimeError(_undeclared(self.lost[0]))
        ours = {(path[-1], ".".join(path[:-1])): value for path, value in leaves(delivered)}
        own = {".".join(path): calls for path, calls in leaves(sown) if path[-1] != "__call__"}
        return [
            self._term(i, term, term.target, ours, own) if isinstance(term.target, ActivationsTarget) else {}
            for i, term in enumerate(self.terms)
        ]

    def _term(
        self, i: int, term: Term, target: ActivationsTarget, ours: dict[tuple[str, str], Any], own: dict[str, Any]
    ) -> Scalars:
        found = {name: jnp.sum(value) for (key, name), value in ours.items() if key == _key(i)}
        lost = [
            name for name, module in self.seen.items() if _selected(target, name, type(module)) and name not in found
        ]
        if lost:
            raise RuntimeError(_undeclared(lost[0]))
        names = {**dict.fromkeys(found), **dict.fromkeys(self.seen), **dict.fromkeys(own)}
        candidates = [Candidate((name,), (), type(self.seen[name]) if name in self.seen else None) for name in names]
        if target.type is None or not found:
            chosen = select_modules(target, candidates).chosen
            for name in (name for _, name in chosen if name in own):
                calls = _calls(target, name, own)
                found[name] = reduce(add, (self.measure(term, target, name, x, FEATURE_LAST) for x in calls))
        return found


def _selected(target: ActivationsTarget, name: str, kind: type) -> bool:
    matched = target.pattern is None or any(matcher(pattern)(name) for pattern in target.pattern)
    return matched and is_of_type(target, kind) and not any(matcher(pattern)(name) for pattern in target.exclude)


def _key(term: int) -> str:
    return f"twinreg_{term}"


def _calls(target: ActivationsTarget, name: str, sown: Mapping[str, Any]) -> Iterator[Any]:
    """The array of each call: sow keeps a tuple with one entry per call, unless the model reduces otherwise."""
    calls = sown[name]
    for value in calls if isinstance(calls, tuple) else (calls,):
        yield pick(name, target.of, value, target.index, None)


def _parameters(term: Term, target: ParamsTarget, entries: list[ParameterEntry]) -> Scalars:
    chosen = select_params(target, [entry.candidate for entry in entries]).chosen
    return measure.parameters(term, target, {name: entries[i] for i, name in chosen})


def _undeclared(name: str) -> str:
    hint = (
        f"The lifted transform around {name!r} drops the collection: add jaxreg.linen.COLLECTION to it, as in "
        "nn.scan(..., variable_axes={jaxreg.linen.COLLECTION: 0})."
    )
    return sentence("activations", "the collection", f"delivered for {name!r}", "nothing", hint)


def evaluate(terms: tuple[Term, ...], values: Values, params: Any, intermediates: Any) -> Penalties:
    """The penalties of trees that the caller's own ``model.apply`` returned."""
    scalars: list[Scalars] = [{} for _ in terms]
    for i, term in enumerate(terms):
        if isinstance(term.target, ParamsTarget):
            scalars[i] = _parameters(term, term.target, tree_parameters(_given("params", params), {}))
        else:
            scalars[i] = _captured(_Pass(terms, values), term, term.target, _given(_SOWN, intermediates))
    return assemble(terms, scalars, values)


def _given(argument: str, tree: Any) -> Any:
    if not isinstance(tree, Mapping):
        expected = "given, a mapping, because a term needs it"
        raise TypeError(sentence("Regularizer.evaluate", argument, expected, type(tree).__name__))
    if not tree:
        hint = "Call model.apply(..., mutable=['intermediates']), with capture_intermediates=True or a model that sows."
        raise RuntimeError(sentence("Regularizer.evaluate", argument, "a tree that holds something", tree, hint))
    return tree


def _captured(pass_: _Pass, term: Term, target: ActivationsTarget, intermediates: Any) -> Scalars:
    if target.type is not None:
        hint = "Captured trees do not know the modules they come from: select by name."
        raise ValueError(sentence("Regularizer.evaluate", "type", "None", target.type, hint))
    if target.of == "input":
        hint = "Captured trees hold outputs only."
        raise ValueError(sentence("Regularizer.evaluate", "of", "'output'", target.of, hint))
    sown = {".".join(path[:-1] if path[-1] == "__call__" else path): calls for path, calls in leaves(intermediates)}
    chosen = select_modules(target, [Candidate((name,)) for name in sown]).chosen
    return {
        name: reduce(add, (pass_.measure(term, target, name, x, None) for x in _calls(target, name, sown)))
        for _, name in chosen
    }


def look(
    terms: tuple[Term, ...], model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[list[ModuleEntry], list[ParameterEntry]]:
    """The modules and parameters of a model, by tracing one pass without computing it."""
    if not isinstance(model, nn.Module):
        expected = "a flax.linen.Module or flax.nnx.Module"
        raise TypeError(sentence("Regularizer.describe", "model", expected, type(model).__name__))
    if not args or not isinstance(args[0], Mapping):
        got = type(args[0]).__name__ if args else None
        raise TypeError(
            sentence("Regularizer.describe", "variables", "the variables of a linen module, a mapping", got)
        )
    seen = _Pass((), Values())
    with nn.intercept_methods(seen.intercept):
        jax.eval_shape(lambda *given: model.apply(*given, **{"mutable": True, **kwargs}), *args)
    modules = [ModuleEntry(Candidate((name,), (), type(module)), module) for name, module in seen.seen.items()]
    return modules, tree_parameters(args[0].get("params", {}), seen.seen)
