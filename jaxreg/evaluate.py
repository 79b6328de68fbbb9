"""``evaluate``: the penalties of trees that the caller's own ``model.apply`` returned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

from ._spec.errors import sentence
from ._spec.select import Candidate, select_modules
from ._spec.terms import Term
from .linen_pass import SOWN, calls
from .result import Penalties, Scalars, Values, assemble
from .sites import Site, parameter_scalars, sites
from .walk import leaves, tree_parameters


def evaluate(terms: tuple[Term, ...], values: Values, params: Any, intermediates: Any) -> Penalties:
    """The penalties of trees: parameters by role and name, activations by name alone."""
    scalars: list[Scalars] = [{} for _ in terms]
    for number, found in parameter_scalars(terms, lambda: tree_parameters(_given("params", params), {})).items():
        scalars[number] = found
    for site in sites(terms, values):
        scalars[site.number] = _captured(site, _given(SOWN, intermediates))
    return assemble(terms, scalars, values)


def _given(argument: str, tree: Any) -> Any:
    if not isinstance(tree, Mapping):
        expected = "given, a mapping, because a term needs it"
        raise TypeError(sentence("Regularizer.evaluate", argument, expected, type(tree).__name__))
    if not tree:
        hint = "Call model.apply(..., mutable=['intermediates']), with capture_intermediates=True or a model that sows."
        if argument == "params":
            hint = "Give variables['params']."
        raise RuntimeError(sentence("Regularizer.evaluate", argument, "a tree that holds something", tree, hint))
    return tree


def _captured(site: Site, intermediates: Any) -> Scalars:
    target = site.target
    if target.type is not None:
        hint = "Captured trees do not know the modules they come from: select by name."
        raise ValueError(sentence("Regularizer.evaluate", "type", "None", target.type, hint))
    if target.of == "input":
        hint = "Captured trees hold outputs only."
        raise ValueError(sentence("Regularizer.evaluate", "of", "'output'", target.of, hint))
    captured = {".".join(path[:-1] if path[-1] == "__call__" else path): value for path, value in leaves(intermediates)}
    chosen = select_modules(target, [Candidate((name,)) for name in captured]).chosen
    return {
        name: reduce(add, [site.penalty_of_sown(name, x, known=False) for x in calls(captured[name])])
        for _, name in chosen
    }
