"""The Flax side: what linen and nnx share. Parameters are a flat dict of arrays, and a pass is a function of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from torchreg._spec.errors import sentence

from .sides import Inputs, converted, leaves
from .traces import Layer, Pass, Trace, numbers

Loss = Callable[[Any], Any]
Arrays = dict[str, Any]
Objective = Callable[[Arrays], tuple[tuple[Any, Any], Arrays]]


@contextmanager
def precision(dtype: str) -> Iterator[bool]:
    """JAX in a dtype, its matrix products unabridged; outside nothing is set. Gives whether float64 was on before."""
    before = bool(jnp.zeros(()).dtype == np.float64)
    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision("highest"):
        yield before


class FlaxSide:
    """A flax model as the comparison sees it."""

    name = "flax"

    def __init__(self, batch: Inputs, dtype: str, select: Loss | None) -> None:
        self.dtype = dtype
        self.args = converted(batch.args, dtype, jnp.asarray)
        self.kwargs = converted(batch.kwargs, dtype, jnp.asarray)
        self.notes: list[str] = []
        self._select = select
        self._params: Arrays = {}
        self._state: Arrays = {}
        self._dtypes: dict[str, Any] = {}

    def layers(self) -> list[Layer]:
        """Every module."""
        raise NotImplementedError

    def trace(self, *, abstract: bool = False) -> Trace:
        """One pass, every module watched; an abstract one gives the order of the calls and no numbers."""
        raise NotImplementedError

    def outputs(self, abstract: bool, run: Callable[[], Any]) -> list[np.ndarray]:
        """What is compared of a run's output; of an abstract run, zeros."""
        if abstract:
            shapes = jax.eval_shape(lambda: self.selected(run()))
            return [np.zeros(shape.shape) for shape in shapes]
        return [np.asarray(array) for array in self.selected(run())]

    def apply(self, params: Arrays, regularizer: Any) -> tuple[Any, Any]:
        """Output and penalties for some parameters."""
        raise NotImplementedError

    def filled(self, arrays: dict[str, np.ndarray]) -> Any:
        """What the caller's own model is run with, holding these arrays in its own dtypes."""
        raise NotImplementedError

    def narrowed(self, arrays: dict[str, np.ndarray]) -> Arrays:
        """Arrays in the model's own dtypes, as far as the caller's JAX knows them."""
        own = {name: jax.dtypes.canonicalize_dtype(dtype) for name, dtype in self._dtypes.items()}
        return {name: jnp.asarray(array, dtype=own[name]) for name, array in arrays.items()}

    def taken(self, name: str, array: Any) -> Any:
        """An array of the model in the dtype of the comparison; its own is remembered."""
        self._dtypes[name] = array.dtype
        return jnp.asarray(array, dtype=self.dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    def arrays(self) -> dict[str, np.ndarray]:
        """Parameters and state by name."""
        return {name: np.asarray(value) for name, value in {**self._params, **self._state}.items()}

    def trainable(self) -> set[str]:
        """The names of the parameters."""
        return set(self._params)

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        """Puts arrays by name into the model of the comparison."""
        for name, array in arrays.items():
            held = self._params if name in self._params else self._state
            held[name] = jnp.asarray(array, dtype=held[name].dtype)

    def selected(self, output: Any) -> list[Any]:
        """The floating arrays that are compared."""
        chosen = output if self._select is None else self._select(output)
        return [array for array in leaves(chosen, is_array) if jnp.issubdtype(array.dtype, jnp.floating)]

    def objective(self, regularizer: Any, loss: Loss | None) -> Objective:
        """Loss and penalties, and the gradient, for some parameters: compiled once, with the state that is there."""

        def objective(params: Arrays) -> tuple[Any, Any]:
            output, penalties = self.apply(params, regularizer)
            task = default_loss(self.selected(output)) if loss is None else loss(output)
            return (task if penalties is None else task + penalties.total), penalties

        return jax.jit(jax.value_and_grad(objective, has_aux=True))

    def run(self, objective: Objective) -> Pass:
        """Loss, penalties and the gradient of every parameter."""
        (value, penalties), slopes = objective(self._params)
        gradients = {name: np.asarray(slope) for name, slope in slopes.items()}
        return Pass(float(value), *numbers(penalties), gradients)

    def train(
        self, objective: Objective, optimizer: str, rate: float, steps: int, held: dict[str, np.ndarray]
    ) -> list[float]:
        """The loss before each step and after the last; ``held`` are factors of gradients, 0 where nothing moves."""
        rule = {"adam": optax.adam, "sgd": optax.sgd}[optimizer](rate)

        @jax.jit
        def update(slopes: Arrays, params: Arrays, state: Any) -> tuple[Arrays, Any]:
            slopes = {name: slope * held[name] if name in held else slope for name, slope in slopes.items()}
            updates, state = rule.update(slopes, state, params)
            return optax.apply_updates(params, updates), state  # pyright: ignore[reportReturnType]

        params, state, losses = self._params, rule.init(self._params), []
        for _ in range(steps):
            (value, _), slopes = objective(params)
            params, state = update(slopes, params, state)
            losses.append(float(value))
        return [*losses, float(objective(params)[0][0])]


def is_array(value: Any) -> bool:
    """Whether something is an array, traced or not."""
    return isinstance(value, jax.Array)


def seen(value: Any, floating: bool) -> np.ndarray | None:
    """The first array inside, or the first floating one; None where there is none or a transform hides it."""
    found = [x for x in leaves(value, is_array) if not floating or jnp.issubdtype(x.dtype, jnp.floating)]
    return None if not found or isinstance(found[0], Tracer) else np.array(found[0])


def primary(output: Any, sequence: bool) -> Any:
    """What a recurrent module returns beside its carry; any other output as it is."""
    return output[1] if sequence and isinstance(output, tuple) and len(output) == 2 else output


def widened(fields: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The dtypes among a module's settings that are narrower than the comparison's, as that one."""
    found: dict[str, Any] = {}
    for name in ("dtype", "param_dtype"):
        value = fields.get(name)
        if value is None or (not isinstance(value, str | type | np.dtype) and not hasattr(value, "dtype")):
            continue
        if jnp.issubdtype(jnp.dtype(value), jnp.floating) and jnp.dtype(value) != jnp.dtype(dtype):
            found[name] = jnp.dtype(dtype)
    return found


def default_loss(outputs: list[Any]) -> Any:
    """½ mean (y − cos k)² of each array, k the number of the element: bounded below, and no element is like another."""
    losses = []
    for y in outputs:
        target = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
        losses.append(0.5 * ((y - target) ** 2).mean())
    return jnp.stack(losses).sum()


def flax_side(
    model: Any, variables: Any, batch: Inputs, dtype: str, train: bool, select: Loss | None, wide: bool
) -> FlaxSide:
    """The side for a linen or an nnx module; ``wide`` says whether the caller's own JAX knows float64."""
    from flax import linen, nnx

    if isinstance(model, linen.Module):
        from .linen_side import LinenSide

        return LinenSide(model, variables, batch, dtype, select, wide)
    if isinstance(model, nnx.Module):
        if variables is not None:
            raise TypeError(sentence("compare", "variables", "None for an nnx module, which holds its own", "a tree"))
        from .nnx_side import NnxSide

        return NnxSide(model, batch, dtype, train, select)
    raise TypeError(sentence("compare", "flax_model", "a flax.linen.Module or a flax.nnx.Module", type(model)))
