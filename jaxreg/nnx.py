"""Capture for Flax nnx: during a pass, each selected instance is of a subclass whose ``__call__`` sows scalars.

``nnx.capture`` collects them, under ``nnx.jit``, ``nnx.remat`` and ``nnx.scan`` too; class and attributes are restored
whatever happens. Everything that depends on how nnx captures is in this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax.numpy as jnp
from flax import nnx

from . import measure
from ._spec.errors import sentence
from ._spec.select import select_modules, select_params
from ._spec.targets import ActivationsTarget, ParamsTarget
from ._spec.terms import Term, missing_mask
from .outputs import pick
from .owners import FEATURE_LAST, owner_of
from .result import Penalties, Scalars, Values, assemble
from .walk import ModuleEntry, node_parameters, nodes

_RULES = "_twinreg_rules"
_CAPTURES = "__captures__"


class PenaltyVariable(nnx.Variable):
    """The variable type to name under a lifted transform, as in ``nnx.StateAxes({PenaltyVariable: 0, ...: None})``."""


class Tap(nnx.Module):
    """The identity, as a module: names a tensor that no module outputs, so that a target can select it.

    >>> import jax.numpy as jnp
    >>> Tap()(jnp.ones(2))
    Array([1., 1.], dtype=float32)
    """

    def __call__(self, x: Any) -> Any:
        return x


@dataclass(frozen=True)
class _Rule:
    """What one term wants of one instance. It is static in nnx's graph, so it says what the trace depends on."""

    number: int
    term: Term
    target: ActivationsTarget
    name: str
    axis_name: Any
    mask: _Mask | None


class _Mask:
    """A mask as a static attribute: equal to itself alone, so that no trace serves the mask of another pass."""

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass
class _Borrowed:
    """An instance as it was before the pass."""

    module: Any
    kind: type
    attributes: dict[str, Any] = field(default_factory=dict)


def run(
    terms: tuple[Term, ...], values: Values, model: nnx.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Penalties]:
    """One call of the model, every selected instance sowing."""
    entries = nodes(model)
    rules = _rules(terms, values, entries)
    if rules:
        with _sowing(model, entries, rules):
            output, state = nnx.capture(_call, PenaltyVariable)(model, *args, **kwargs)
        scalars = _collect(terms, rules, entries, dict(_flat(state)))
    else:
        output, scalars = model(*args, **kwargs), [{} for _ in terms]  # pyright: ignore[reportCallIssue]
    for i, term in enumerate(terms):
        if isinstance(term.target, ParamsTarget):
            scalars[i] = _parameters(term, term.target, model)
    return output, assemble(terms, scalars, values)


def _call(model: Any, *args: Any, **kwargs: Any) -> Any:
    return model(*args, **kwargs)


def _rules(terms: tuple[Term, ...], values: Values, entries: list[ModuleEntry]) -> dict[int, tuple[_Rule, ...]]:
    """The rules of each selected instance, by its place among the entries."""
    candidates = [entry.candidate for entry in entries]
    masks = {name: _Mask(value) for name, value in values.masks.items()}
    rules: dict[int, tuple[_Rule, ...]] = {}
    for number, term in enumerate(terms):
        if not isinstance(term.target, ActivationsTarget):
            continue
        if term.target.mask is not None and term.target.mask not in masks:
            raise ValueError(missing_mask(term, term.target.mask))
        mask = masks[term.target.mask] if term.target.mask is not None else None
        for i, name in select_modules(term.target, candidates).chosen:
            rules[i] = (*rules.get(i, ()), _Rule(number, term, term.target, name, values.axis_name, mask))
    return rules


@contextmanager
def _sowing(model: nnx.Module, entries: list[ModuleEntry], rules: dict[int, tuple[_Rule, ...]]) -> Iterator[None]:
    """Lends the selected instances a sowing class, and takes everything back."""
    for _, module in nnx.iter_modules(model):
        vars(module).pop(_CAPTURES, None)
    borrowed = [_Borrowed(entries[i].module, type(entries[i].module)) for i in rules]
    before = {id(module): (module, vars(module).get("_pytree__nodes")) for _, module in nnx.iter_modules(model)}
    try:
        for loan, wanted in zip(borrowed, rules.values(), strict=True):
            setattr(loan.module, _RULES, wanted)
            object.__setattr__(loan.module, "__class__", _sowing_class(loan.kind))
        yield
    finally:
        for loan in borrowed:
            object.__setattr__(loan.module, "__class__", loan.kind)
            vars(loan.module).pop(_RULES, None)
        for module, statuses in before.values():
            vars(module).pop(_CAPTURES, None)
            if statuses is not None:
                object.__setattr__(module, "_pytree__nodes", statuses)


@cache
def _sowing_class(kind: type) -> type:
    """The subclass that sows after each call. Cached, because the trace of an instance depends on its class."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = kind.__call__(self, *args, **kwargs)
        for rule in getattr(self, _RULES):
            _sow(self, rule, kind, args, kwargs, output)
        return output

    return type(kind)(
        kind.__name__, (kind,), {"__call__": __call__, "__module__": kind.__module__, "__doc__": kind.__doc__}
    )


def _sow(module: Any, rule: _Rule, kind: type, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
    target, owner = rule.target, owner_of(kind)
    value = {**dict(enumerate(args)), **kwargs} if target.of == "input" else output
    primary = owner.primary if target.of == "output" else 0
    x = pick(rule.name, target.of, value, target.index, owner.primary if target.of == "output" else None)
    layout = owner.output_layout(module, x.ndim) if target.index in (None, primary) else FEATURE_LAST
    mask = rule.mask.value if rule.mask is not None else None
    scalar = measure.activation(rule.term, target, rule.name, x, layout, mask, rule.axis_name)
    module.sow(PenaltyVariable, _key(rule.number), scalar, jnp.add, lambda: jnp.zeros((), scalar.dtype))


def _key(number: int) -> str:
    return f"twinreg_{number}"


def _flat(state: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, inner in state.items():
        if isinstance(inner, nnx.Variable):
            yield (*path, str(key)), inner.get_value()
        else:
            yield from _flat(inner, (*path, str(key)))


def _collect(
    terms: tuple[Term, ...], rules: dict[int, tuple[_Rule, ...]], entries: list[ModuleEntry], state: dict[Any, Any]
) -> list[Scalars]:
    """The scalars by the names they were chosen under; nnx tells them by some path of the instance."""
    scalars: list[Scalars] = [{} for _ in terms]
    sown = {(".".join(path[:-1]), path[-1]): value for path, value in state.items()}
    for i, wanted in rules.items():
        for rule in wanted:
            found = [
                sown[name, _key(rule.number)]
                for name in entries[i].candidate.names
                if (name, _key(rule.number)) in sown
            ]
            if found:
                scalars[rule.number][rule.name] = jnp.sum(found[0])
            elif rule.target.missing == "error":
                raise RuntimeError(_silent(rule.name))
    return scalars


def _parameters(term: Term, target: ParamsTarget, model: nnx.Module) -> Scalars:
    entries = node_parameters(model)
    chosen = select_params(target, [entry.candidate for entry in entries]).chosen
    return measure.parameters(term, target, {name: entries[i] for i, name in chosen})


def _silent(name: str) -> str:
    hint = (
        "A function (such as nnx.relu) is no module: name the tensor with jaxreg.nnx.Tap; where the model may skip it, "
        "use missing='skip'; under a lifted transform, name jaxreg.nnx.PenaltyVariable in its state axes."
    )
    return sentence("Regularizer.apply", "activations", "modules that ran in the pass", (name,), hint)
