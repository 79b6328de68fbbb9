"""Capture for Flax nnx: one pass of a model with its penalties, the modules to name in it, and what to declare.

``nnx_pass.py`` lends the selected instances what makes them sow, and holds all that depends on how nnx works inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx

from ._spec.select import Candidate
from ._spec.terms import Term
from .inject import check_injection, inject
from .nnx_pass import lending, sown, translated
from .nnx_scalars import PenaltyVariable, call
from .penalty import Penalty
from .result import Penalties, Scalars, Values, assemble
from .sites import Site, chosen, parameter_scalars, silent, sites
from .walk import ModuleEntry, node_parameters

PenaltyVariable = PenaltyVariable  # public here: what users name under a lifted transform

_TAP = "jaxreg.nnx.Tap"
_DECLARED = "jaxreg.nnx.PenaltyVariable in its state axes"


class Tap(nnx.Module):
    """The identity, as a module: names a tensor that no module outputs, so that a target can select it.

    >>> import jax.numpy as jnp
    >>> Tap()(jnp.ones(2))
    Array([1., 1.], dtype=float32)
    """

    def __call__(self, x: Any) -> Any:
        return x


class Penalize(nnx.Module):
    """The identity, as a module, which adds the gradient of a penalty in backward; see ``inject``.

    Its value is sown as ``penalty`` under ``nnx.capture(model, nnx.Intermediate)``.

    >>> import jax.numpy as jnp
    >>> from jaxreg import L1
    >>> Penalize(L1(0.5))(jnp.ones(2))
    Array([1., 1.], dtype=float32)
    """

    def __init__(self, penalty: Penalty, scale: Any = 1.0) -> None:
        self.penalty = check_injection("Penalize", penalty, scale)
        self.scale = scale

    def __call__(self, x: Any) -> Any:
        if hasattr(self, "__captures__"):  # outside of a capture, sow would keep the values of all calls on the module
            self.sow(nnx.Intermediate, "penalty", jax.lax.stop_gradient(self.penalty(x)))
        return inject(x, self.penalty, scale=self.scale)


def run(
    terms: tuple[Term, ...], values: Values, model: nnx.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, Penalties]:
    """One call of the model, every selected instance sowing."""
    scalars: list[Scalars] = [{} for _ in terms]
    found = sites(terms, values)
    if found:
        with lending(model, found) as (entries, loans, depth):
            with translated():
                output = call(model, args, kwargs)
            arrived = sown(loans, depth)
            for site in found:
                scalars[site.number] = _complete(site, entries, arrived.get(site.number, {}))
    else:
        output = model(*args, **kwargs)  # pyright: ignore[reportCallIssue]
    for number, of_term in parameter_scalars(terms, lambda: node_parameters(model)).items():
        scalars[number] = of_term
    return output, assemble(terms, scalars, values)


def _complete(site: Site, entries: list[ModuleEntry], found: Scalars) -> Scalars:
    """The scalars of one term, where all that the target selects is there."""
    candidates = [entry.candidate for entry in entries]
    known = {name for candidate in candidates for name in candidate.names}
    candidates += [Candidate((name,)) for name in found if name not in known]
    for name in chosen(site.target, candidates, (), _TAP):
        if name not in found and site.target.missing == "error":
            raise RuntimeError(silent(name, _TAP, _DECLARED))
    return found
