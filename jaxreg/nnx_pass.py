"""One pass of an nnx model: for its time, each selected instance is of a subclass that turns its calls into scalars.

Class and attributes are restored whatever happens. What depends on how nnx works inside is in this file, and in
``nnx_scalars.py`` and ``nnx_lost.py``; they leave ``nnx.capture`` and the model's own ``sow`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

from flax import nnx
from flax.errors import TraceContextError

from ._spec.errors import sentence
from .nnx_scalars import ADDED, KEY, SCALARS, PenaltyVariable, add, leave, settle, stacking, take
from .result import Scalars
from .sites import Site, joined
from .turns import TURN, give_back, is_anothers
from .turns import take as take_turns
from .walk import ModuleEntry, nodes

_RULES = "_twinreg_rules"
_OURS = (_RULES, SCALARS, ADDED)
_NODES = "_pytree__nodes"


@dataclass(frozen=True)
class Rule:
    """What one term wants of one instance. It is static in nnx's graph, so it says what a trace depends on."""

    site: Site
    depth: int
    names: tuple[str, ...]
    name: str | None


@dataclass
class Loan:
    """An instance, and what it was before the pass."""

    module: Any
    kind: type
    depth: int
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
        take_turns(held)
    try:
        with TURN:
            entries = nodes(model)
            depth = 1 + max((rule.depth for module in held for rule in vars(module).get(_RULES, ())), default=0)
            for entry in entries:
                rules = _rules(entry, found, depth)
                if rules or isinstance(entry.module, nnx.RNN):
                    loans.append(_lend(entry.module, rules, depth))
        yield entries, loans, depth
    finally:
        with TURN:
            for loan in loans:
                _take_back(loan)
            give_back(held)


def _rules(entry: ModuleEntry, found: tuple[Site, ...], depth: int) -> tuple[Rule, ...]:
    names, kind = entry.candidate.names, type(entry.module)
    rules = [Rule(site, depth, names, site.wants(names, kind)) for site in found]
    return tuple(r for r in rules if r.name is not None or any(r.site.listens(name) for name in names))


def _lend(module: Any, rules: tuple[Rule, ...], depth: int) -> Loan:
    """Makes an instance sow. It is written past nnx's own setattr, which a model that a trace closes over refuses."""
    own = vars(module)
    loan = Loan(module, type(module), depth, own.get(_RULES), own[_NODES])
    own[_RULES] = (*own.get(_RULES, ()), *rules)
    settle(module, depth)
    own[_NODES] = loan.nodes.update({_RULES: False, SCALARS: True, ADDED: False})
    object.__setattr__(module, "__class__", _sowing_class(_lent_from(loan.kind)))
    return loan


def _take_back(loan: Loan) -> None:
    """Makes an instance what it was; what the model itself has set on it in the meantime stays."""
    own = vars(loan.module)
    object.__setattr__(loan.module, "__class__", loan.kind)
    leave(loan.module, loan.depth)
    if loan.before is None:
        for name in _OURS:
            del own[name]
    else:  # a pass inside a pass: the outer one goes on, with what it has heard meanwhile
        own[_RULES] = loan.before
    now = {key: status for key, status in own[_NODES].items() if key in own or key in loan.nodes}
    own[_NODES] = loan.nodes.update(now)


@cache
def _sowing_class(kind: type) -> type:
    """The subclass that sows after each call. Cached, because the trace of an instance depends on its class."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        with stacking(self) if issubclass(kind, nnx.RNN) else nullcontext():
            output = kind.__call__(self, *args, **kwargs)  # pyright: ignore[reportCallIssue]
        inputs = {**dict(enumerate(args)), **kwargs}
        for rule in _own_rules(self):
            if rule.name is not None:
                scalar = rule.site.penalty(rule.name, self, kind, inputs, output)
                add(self, rule.depth, rule.site.number, rule.name, scalar)
        return output

    def sow(self: Any, variable_type: Any, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if variable_type is nnx.Intermediate or variable_type == "intermediates":
            for rule in _own_rules(self):
                full = next((n for n in (joined(path, name) for path in rule.names) if rule.site.wants_sown(n)), None)
                if full is not None:
                    add(self, rule.depth, rule.site.number, full, rule.site.penalty_of_sown(full, value))
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


def sown(loans: list[Loan], depth: int) -> dict[int, Scalars]:
    """What arrived for every term, by name; every call counts."""
    found: dict[int, Scalars] = {}
    for loan in loans:
        for _, number, name, value in take(loan.module, depth):
            of_term = found.setdefault(number, {})
            of_term[name] = of_term[name] + value if name in of_term else value
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
        if KEY not in str(error):
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
