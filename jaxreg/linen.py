"""Capture for Flax linen: one pass of a model with its penalties, the modules to name in it, and what to declare.

``linen_pass.py`` sees and sows; here is what surrounds it: variables, ``mutable``, the traces that ``nn.jit`` keeps.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from flax.core.scope import DenyList, filter_to_set, in_filter, union_filters
from jax.errors import UnexpectedTracerError

from ._spec.errors import sentence
from ._spec.select import Candidate
from ._spec.targets import ParamsTarget
from ._spec.terms import Term
from .evaluate import evaluate as evaluate  # the regularizer finds both worlds of trees here
from .inject import check_injection, inject
from .linen_errors import fixed, leaked
from .linen_pass import COLLECTION as COLLECTION
from .linen_pass import SOWN, Pass
from .penalty import Penalty
from .result import Penalties, Scalars, Values, assemble
from .sites import Site, parameter_scalars, sites
from .walk import ModuleEntry, ParameterEntry, tree_parameters

_KEPT_NUMBERS = 4096
_STRUCTURAL = (
    (TypeError, "pytree structure"),  # nn.cond, nn.switch, nn.while_loop, variable_carry
    (ValueError, "broadcasted variable"),  # variable_broadcast
    (ValueError, "got axis spec None"),  # nn.vmap without an axis
    (IndexError, "tuple index out of range"),  # an axis, where what is there has none yet
)
_fresh = itertools.count()
_numbers: dict[Any, int] = {}


class Tap(nn.Module):
    """The identity, as a module: names a tensor that no module outputs, so that a target can select it.

    >>> import jax.numpy as jnp
    >>> Tap().apply({}, jnp.ones(2))
    Array([1., 1.], dtype=float32)
    """

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return x


class Penalize(nn.Module):
    """The identity, as a module, which adds the gradient of a penalty in backward; see ``inject``.

    Its value is sown as ``penalty`` where the collection ``intermediates`` is mutable.

    >>> import jax.numpy as jnp
    >>> from jaxreg import L1
    >>> Penalize(L1(0.5)).apply({}, jnp.ones(2), mutable=["intermediates"])[1]
    {'intermediates': {'penalty': (Array(1., dtype=float32),)}}
    """

    penalty: Penalty
    scale: Any = 1.0

    def __post_init__(self) -> None:
        check_injection("Penalize", self.penalty, self.scale)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> Any:
        if self.is_mutable_collection(SOWN):
            self.sow(SOWN, "penalty", jax.lax.stop_gradient(self.penalty(x)))
        return inject(x, self.penalty, scale=self.scale)


def run(
    terms: tuple[Term, ...], values: Values, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Penalties]:
    """One pass of ``model.apply`` under the interceptor; ``(y, state)`` where the caller asked for ``mutable``."""
    given = _variables("Regularizer.apply", args)
    options = dict(kwargs)
    wanted = options.pop("mutable", False)
    if options.get("capture_intermediates"):
        wanted = union_filters(wanted, SOWN)  # as Flax itself does
    # What a state that is fed back still holds would be added to.
    variables = {name: tree for name, tree in given.items() if name not in (COLLECTION, SOWN)}
    output, state, pass_ = _passed(sites(terms, values), terms, model, (variables, *args[1:]), wanted, options)
    rest = {name: tree for name, tree in state.items() if name != COLLECTION}
    sown = rest.get(SOWN, {}) if in_filter(wanted, SOWN) else rest.pop(SOWN, {})
    parameters = rest.get("params", variables.get("params", {}))
    scalars: list[Scalars] = [{} for _ in terms]
    try:
        for number, found in pass_.collect(state.get(COLLECTION, {}), sown, parameters).items():
            scalars[number] = found
    except UnexpectedTracerError as error:
        raise RuntimeError(leaked()) from error
    owned = pass_.owned(state.get(COLLECTION, {}))
    for number, found in parameter_scalars(terms, lambda: tree_parameters(parameters, owned)).items():
        scalars[number] = found
    return (output if wanted is False else (output, rest)), assemble(terms, scalars, values)


def _passed(
    found: tuple[Site, ...], terms: tuple[Term, ...], model: nn.Module, args: tuple[Any, ...], wanted: Any, options: Any
) -> tuple[Any, Any, Pass]:
    """The output, state and pass of a model.

    Where a transform fixes the structure of collections (``nn.cond``), what each module sows about itself breaks it;
    the pass is then repeated with the selected modules alone sowing. A linen pass is pure, so a repetition is harmless.
    """
    owners = any(isinstance(term.target, ParamsTarget) for term in terms)
    inside: set[str] = set()
    for grows in (True, False):
        key = (found, owners, grows, _hash(model))
        pass_ = Pass(found, owners, grows, options.get("method"))
        try:
            with pass_.listening():
                output, state = model.apply(*args, mutable=_mutable(wanted, _salt(key)), **options)
            pass_.check(state.get(COLLECTION, {}))
            return output, state, pass_
        except Exception as error:
            _numbers.pop(key, None)  # nn.jit may keep the trace of a pass that failed: it must not serve it
            leak = isinstance(error, UnexpectedTracerError)
            if not leak and not _is_structural(error):
                raise
            inside |= pass_.names()
            if grows and not leak:
                continue
            model.apply(*args, mutable=wanted, **options)  # where the model itself is at fault, this says so
            raise RuntimeError(leaked() if leak else fixed(inside)) from error
    raise AssertionError  # the loop returns or raises


def _is_structural(error: Exception) -> bool:
    """Whether an error may come from a transform that fixes the structure, or the value, of a collection."""
    return any(isinstance(error, kind) and text in str(error) for kind, text in _STRUCTURAL)


def _mutable(wanted: Any, salt: str) -> Any:
    """What the caller wants mutable, and our collections, and the salt: hashable, and different for every salt."""
    if wanted is True:
        return DenyList((salt,))  # everything but a collection that does not exist
    both = union_filters(wanted, {COLLECTION, SOWN, salt})
    if not isinstance(both, DenyList):
        return tuple(sorted(filter_to_set(both)))
    return both if isinstance(both.deny, DenyList) else DenyList((*sorted(filter_to_set(both.deny)), salt))


def _hash(model: nn.Module) -> int:
    """What tells models apart: the same layer may run inside a loop of one and outside of all in another."""
    try:
        return hash(model)
    except TypeError:
        return hash(type(model))


def _salt(key: tuple[tuple[Site, ...], bool, bool, int]) -> str:
    """A collection name that changes with the configuration: ``nn.jit`` would otherwise serve the trace of another.

    Masks are closed over, so under them every trace is new. A number is never given twice; a hash may be.
    """
    if any(site.mask is not None for site in key[0]):
        return f"{COLLECTION}_{next(_fresh)}"
    if len(_numbers) > _KEPT_NUMBERS:
        _numbers.clear()
    return f"{COLLECTION}_{_numbers.setdefault(key, next(_fresh))}"


def _variables(where: str, args: tuple[Any, ...]) -> Mapping[str, Any]:
    if not args or not isinstance(args[0], Mapping):
        got = type(args[0]).__name__ if args else None
        raise TypeError(sentence(where, "variables", "the variables of a linen module, a mapping", got))
    return args[0]


def look(
    model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[list[ModuleEntry], list[ParameterEntry]]:
    """The modules and parameters of a model, by tracing one pass without computing it."""
    if not isinstance(model, nn.Module):
        expected = "a flax.linen.Module or flax.nnx.Module"
        raise TypeError(sentence("Regularizer.describe", "model", expected, type(model).__name__))
    variables = _variables("Regularizer.describe", args)
    pass_ = Pass((), True, False, kwargs.get("method"))
    leaves, structure = jax.tree.flatten(args)
    arrays = {i: leaf for i, leaf in enumerate(leaves) if hasattr(leaf, "shape")}

    def traced(given: dict[int, Any]) -> Any:
        # What is no array (a flag such as train=True) must stay what it is.
        both = [given.get(i, leaf) for i, leaf in enumerate(leaves)]
        return model.apply(*jax.tree.unflatten(structure, both), **{"mutable": True, **kwargs})

    with pass_.listening():
        jax.eval_shape(traced, arrays)
    modules = [ModuleEntry(Candidate((name,), (), type(module)), module) for name, module in pass_.modules.items()]
    return modules, tree_parameters(variables.get("params", {}), pass_.seen)
