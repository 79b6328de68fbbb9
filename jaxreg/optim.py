"""Penalties around the optimizer: the gradients of parameter terms, added at each step, without a loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from ._spec.errors import sentence
from ._spec.targets import ActivationsTarget
from .evaluate import evaluate
from .regularizer import BoundRegularizer, Regularizer
from .result import Penalties, Values

WHERE = "add_penalty_gradients"


class PenaltyGradientsState(NamedTuple):
    """The state of :func:`add_penalty_gradients`.

    Attributes:
        steps: how many steps were taken, which is what schedules are called with next.
        penalties: what the terms came to at the last step; zeros before the first.
    """

    steps: Array
    penalties: Penalties


def add_penalty_gradients(reg: Regularizer | BoundRegularizer) -> optax.GradientTransformation:
    """Adds the gradients of a regularizer's parameter terms to the updates: an optax transformation.

    The numbers are those of adding the penalty to the loss. In a chain, what stands before it (clipping, say) has not
    seen the penalty, and what comes after it has. It sees the tree of parameters and not the modules that own them, as
    ``Regularizer.evaluate`` does: roles go by the names of leaves, and penalties that depend on axes need ``layout=``.

    Schedules are called with the number of steps that came before, unless ``reg`` is bound to a step.

    Args:
        reg: a regularizer whose terms are all on parameters, or one bound to weights or to a step.

    Raises:
        LookupError: when the state is made, a pattern or a role matches nothing.
        TypeError: ``reg`` is not a regularizer.
        ValueError: a term is on activations; at a step, ``update`` is called without ``params``.

    >>> import jax.numpy as jnp, jaxreg, optax
    >>> reg = jaxreg.Regularizer(jaxreg.L1(0.5).on(jaxreg.params()))
    >>> optimizer = optax.chain(jaxreg.add_penalty_gradients(reg), optax.sgd(1.0))
    >>> params = {"w": jnp.array([2.0, -3.0])}
    >>> updates, state = optimizer.update({"w": jnp.zeros(2)}, optimizer.init(params), params)
    >>> updates["w"].tolist()
    [-0.5, 0.5]
    """
    if not isinstance(reg, Regularizer | BoundRegularizer):
        raise TypeError(sentence(WHERE, "reg", "a Regularizer", type(reg).__name__))
    bound = reg if isinstance(reg, BoundRegularizer) else reg.at()
    terms, values = bound.regularizer.terms, bound.values
    for term in terms:
        if isinstance(term.target, ActivationsTarget):
            hint = "An optimizer sees no activations: use Regularizer.apply for such a term."
            raise ValueError(sentence(WHERE, "terms", "on parameters", term.name, hint))

    def total(params: Any, steps: Array) -> tuple[Array, Penalties]:
        step = steps if values.step is None else values.step
        found = evaluate(terms, Values(step, values.weights, {}, values.axis_name), params, None)
        return found.total, found

    def init(params: Any) -> PenaltyGradientsState:
        steps = jnp.zeros((), jnp.int32)
        _, shapes = jax.eval_shape(total, params, steps)
        return PenaltyGradientsState(steps, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, PenaltyGradientsState]:
        if params is None:
            hint = "Call update(updates, state, params)."
            raise ValueError(sentence(WHERE, "params", "given to update", None, hint))
        gradients, penalties = jax.grad(total, has_aux=True)(params, state.steps)
        added = jax.tree.map(lambda update, gradient: update + gradient.astype(update.dtype), updates, gradients)
        return added, PenaltyGradientsState(jnp.asarray(optax.safe_increment(state.steps)), penalties)

    return optax.GradientTransformation(init, update)
