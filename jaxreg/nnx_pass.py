"""One pass of an nnx model: for its time, each selected instance is of a subclass that turns its calls into scalars.

The scalars travel in a variable of each instance, under ``nnx.jit``, ``nnx.remat`` and ``nnx.scan`` as all variables
do. Class and attributes are restored whatever happens. All that depends on how nnx works inside is in this file; it
leaves ``nnx.capture`` and the model's own ``sow`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.errors import TraceContextError

from ._spec.errors import sentence
from .result import Scalars
from .sites import Site, joined
from .turns import TURN, give_back, is_anothers, take
from .walk import ModuleEntry, nodes

_RULES = "_twinreg_rules"
_SCALARS = "_twinreg_scalars"
_NODES = "_pytree__nodes"


class PenaltyVariable(nnx.Variable):
    """The variable type to name under a lifted transform, as in ``nnx.StateAxes({PenaltyVariable: 0, ...: None})``."""


@dataclass(frozen=True)
class Rule:
    """What one term wants of one instance. It is static in nnx's graph, so it says what a trace depends on."""

    site: Site
    depth: int
    names: tuple[str, ...]
    name: str | None

    def key(self, name: str) -> str:
        """The key of a scalar: an instance may keep the scalars of others."""
        return f"{self.depth}_{self.site.number}.{name}"


@dataclass
class Loan:
    """An instance, and what it was before the pass."""

    module: Any
    kind: type
    before: tuple[Rule, ...] | None
    nodes: Any


@contextmanager
def lending(model: nnx.Module, found: tuple[Site, ...]) -> Iterator[tuple[list[ModuleEntry], list[Loan], int]]:
    """Lends the instances that the terms select a class that sows, and takes everything back.

    A model in a pass of another thread is waited for: an instance has one class at a time.
    """
    loans: list[Loan] = []
    with TURN:
        held = [module for _, module in nnx.iter_modules(model)]
        take(held)
    try:
        with TURN:
            entries = nodes(model)
            depth = 1 + max((rule.depth for module in held for rule in vars(module).get(_RULES, ())), default=0)
            for entry in entries:
                rules = _rules(entry, found, depth)
                if rules or isinstance(entry.module, nnx.RNN):
                    loans.append(_lend(entry.module, rules))
        yield entries, loans, depth
    finally:
        with TURN:
            for loan in reversed(loans):
                _take_back(loan)
            give_back(held)


def _rules(entry: ModuleEntry, found: tuple[Site, ...], depth: int) -> tuple[Rule, ...]:
    names, kind = entry.candidate.names, _lent_from(type(entry.module))
    rules = [Rule(site, depth, names, site.wants(names, kind)) for site in found]
    return tuple(r for r in rules if r.name is not None or any(r.site.listens(name) for name in names))


def _lend(module: Any, rules: tuple[Rule, ...]) -> Loan:
    """Makes an instance sow. It is written past nnx's own setattr, which a model that a trace closes over refuses."""
    own = vars(module)
    loan = Loan(module, type(module), own.get(_RULES), own[_NODES])
    own[_RULES] = (*own.get(_RULES, ()), *rules)
    if _SCALARS not in own:
        own[_SCALARS] = PenaltyVariable({})
    own[_NODES] = loan.nodes.update({_RULES: False, _SCALARS: True})
    object.__setattr__(module, "__class__", _sowing_class(_lent_from(loan.kind)))
    return loan


def _take_back(loan: Loan) -> None:
    """Makes an instance what it was; what the model itself has set on it in the meantime stays."""
    own = vars(loan.module)
    object.__setattr__(loan.module, "__class__", loan.kind)
    if loan.before is None:
        del own[_RULES], own[_SCALARS]
    else:  # a pass inside a pass: the outer one goes on, with what it has heard meanwhile
        own[_RULES] = loan.before
    now = {key: status for key, status in own[_NODES].items() if key in own or key in loan.nodes}
    own[_NODES] = loan.nodes if now == dict(loan.nodes) else loan.nodes.update(now)


@cache
def _sowing_class(kind: type) -> type:
    """The subclass that sows after each call. Cached, because the trace of an instance depends on its class."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _stacking(self) if issubclass(kind, nnx.RNN) else nullcontext():
            output = kind.__call__(self, *args, **kwargs)  # pyright: ignore[reportCallIssue]
        inputs = {**dict(enumerate(args)), **kwargs}
        for rule in _own_rules(self):
            if rule.name is not None:
                _add(self, rule.key(rule.name), rule.site.penalty(rule.name, self, kind, inputs, output))
        return output

    def sow(self: Any, variable_type: Any, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if variable_type is nnx.Intermediate or variable_type == "intermediates":
            for rule in _own_rules(self):
                full = next((n for n in (joined(path, name) for path in rule.names) if rule.site.wants_sown(n)), None)
                if full is not None:
                    _add(self, rule.key(full), rule.site.penalty_of_sown(full, value))
        return kind.sow(self, variable_type, name, value, *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    members = {"__call__": __call__, "sow": sow, "__module__": kind.__module__, "__doc__": kind.__doc__}
    lent = type(kind)(kind.__name__, (kind,), {**members, "__qualname__": kind.__qualname__})
    _lent[lent] = kind
    return lent


_lent: dict[type, type] = {}


def _lent_from(kind: type) -> type:
    return _lent.get(kind, kind)


def _own_rules(module: Any) -> tuple[Rule, ...]:
    """The rules of an instance; none for a thread that calls it while it is in a pass of another."""
    return () if is_anothers(module) else vars(module).get(_RULES, ())


def _add(module: Any, key: str, scalar: Any) -> None:
    scalars = vars(module)[_SCALARS]
    before = scalars.get_value()
    scalars.set_value({**before, key: before[key] + scalar if key in before else scalar})


@contextmanager
def _stacking(module: nnx.RNN) -> Iterator[None]:
    """Lets the scan of an ``nnx.RNN`` stack what its cell sows: as part of the carry it would change the structure.

    What the cell has sown is kept here, because two calls may be of different lengths.
    """
    axes = module.state_axes
    _gather(module)
    if PenaltyVariable not in tuple(axes):
        vars(module)["state_axes"] = nnx.StateAxes({PenaltyVariable: 0, **axes})
    try:
        yield
    finally:
        vars(module)["state_axes"] = axes
    _gather(module)


def _gather(module: nnx.RNN) -> None:
    for _, inner in nnx.iter_modules(module.cell):
        if _SCALARS in vars(inner):
            for key, value in vars(inner)[_SCALARS].get_value().items():
                _add(module, key, jnp.sum(value))
            vars(inner)[_SCALARS].set_value({})


def sown(loans: list[Loan], site: Site, depth: int) -> Scalars:
    """What arrived for one term, by name; a transform stacks it, and every call counts."""
    found: Scalars = {}
    for loan in loans:
        scalars = vars(loan.module)[_SCALARS]
        left = dict(scalars.get_value())
        for key in [key for key in left if key.partition(".")[0] == f"{depth}_{site.number}"]:
            name, value = key.partition(".")[2], jnp.sum(left.pop(key))
            found[name] = found[name] + value if name in found else value
        scalars.set_value(left)
    return found


@contextmanager
def translated() -> Iterator[None]:
    """Says the way out where a transform around a selected module keeps it from sowing."""
    try:
        yield
    except TraceContextError as error:
        if PenaltyVariable.__name__ not in str(error):
            raise
        hint = "Use nnx.remat, nnx.scan, nnx.vmap, nnx.jit; or name what the transform returns with jaxreg.nnx.Tap."
        expected = "called inside nnx's own transforms, because jax's own know no modules"
        raise RuntimeError(sentence("Regularizer.apply", "a selected module", expected, str(error), hint)) from error
    except (TypeError, ValueError) as error:
        if PenaltyVariable.__name__ not in str(error) and _SCALARS not in str(error):
            raise
        hint = (
            "A carry, a branch and a broadcast state keep their structure: declare for the module, as the first entry, "
            "nnx.StateAxes({jaxreg.nnx.PenaltyVariable: 0, ...: nnx.Carry}), or name what the transform returns with "
            "jaxreg.nnx.Tap."
        )
        expected = f"declared for {PenaltyVariable.__name__}"
        raise TypeError(
            sentence("Regularizer.apply", "the state axes", expected, type(error).__name__, hint)
        ) from error
