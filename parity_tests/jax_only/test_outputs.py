"""What a module's output or input may be, alike in linen and nnx: containers, several arrays, none, its input."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx, struct

import jaxreg
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total

KEY = jax.random.key(1)
Run = Callable[[jaxreg.Regularizer, Callable[..., Any]], jaxreg.Penalties]


class LinenModel(nn.Module):
    """A function as a module."""

    function: Any

    @nn.compact
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class NnxModel(nnx.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def linen(reg: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    """The penalties of a function as a linen module."""
    return reg.apply(LinenModel(function), {}, *(args or (X,)), **kwargs)[1]


def nnx_world(reg: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    """The penalties of a function as an nnx module."""
    return reg.apply(NnxModel(function), *(args or (X,)), **kwargs)[1]


@pytest.fixture(params=[linen, nnx_world], ids=["linen", "nnx"])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param


class Named(NamedTuple):
    first: Any
    second: Any


@dataclass
class Plain:
    first: Any
    second: Any


@struct.dataclass
class Struct:
    first: Any
    second: Any


CONTAINERS: dict[str, Callable[[Any, Any], Any]] = {
    "tuple": lambda a, b: (a, b),
    "list": lambda a, b: [a, b],
    "named tuple": Named,
    "dictionary": lambda a, b: {"first": a, "second": b},
    "dataclass": Plain,
    "flax.struct": Struct,
}


@covers("nested outputs", "linen")
@covers("nested outputs", "nnx")
@pytest.mark.parametrize("kind", CONTAINERS)
def test_index_takes_one_of_several_arrays(run: Any, kind: str) -> None:
    """By key where there are keys, by position everywhere, from the end too."""
    for index in (1, -1, *(("second",) if kind in ("dictionary", "dataclass", "flax.struct") else ())):
        close(run(l1_of("", index=index), lambda x: CONTAINERS[kind](x, 2 * x)).total, 2 * total(X))
    close(run(l1_of("", index=-2), lambda x: CONTAINERS[kind](x, 2 * x)).total, total(X))


def test_every_part_of_a_sum_has_its_coefficient(run: Any) -> None:
    """Also 1 and 0; each part is divided by the samples."""
    penalty = 2.0 * jaxreg.L1(1.0) + 0.0 * jaxreg.L2(1.0) + jaxreg.L2(0.5)
    reg = jaxreg.Regularizer(penalty.on(jaxreg.activations("")))
    close(run(reg, lambda x: x).total, (2.0 * jnp.abs(X).sum() + 0.5 * (X**2).sum()) / len(X))


@pytest.mark.parametrize(("per", "count"), [("example", 1), ("position", 1), ("element", X.shape[1])])
def test_one_sample_is_divided_by_what_it_has(run: Any, per: Any, count: int) -> None:
    """One alone, and one that a mask leaves; none has the penalty 0."""
    layout, x = ("sample", "p0", "feature"), X[:2, None]
    due, keep = jnp.abs(X[:1]).sum() / count, jnp.arange(2) < 1
    masked = jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.activations("", per=per, layout=layout, mask="keep")))
    close(run(masked.at(masks={"keep": keep}), lambda x: x, x).total, due)
    close(run(masked.at(masks={"keep": keep[:1]}), lambda x: x, x[:1]).total, due)
    bare = jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.activations("", per=per, layout=layout)))
    close(run(bare, lambda x: x, x[:1]).total, due)
    close(run(bare, lambda x: x, x[:0]).total, 0.0)


@covers("several arrays and no index", "linen", "ValueError: give `index=`")
@covers("several arrays and no index", "nnx", "ValueError: give `index=`")
@pytest.mark.parametrize("kind", CONTAINERS)
def test_several_arrays_ask_for_an_index(run: Any, kind: str) -> None:
    """Nothing is guessed; the places are listed."""
    places = "[0], [1]" if kind in ("tuple", "list", "named tuple") else "['first'], ['second']"
    expected = f"which has several arrays; got None. Floating arrays are at: {places}."
    with pytest.raises(ValueError, match=re.escape(expected)):
        run(l1_of(""), lambda x: CONTAINERS[kind](x, 2 * x))


@pytest.mark.parametrize("kind", CONTAINERS)
def test_an_array_beside_none_and_integers_needs_no_index(run: Any, kind: str) -> None:
    """Only floating arrays are candidates, however deep they are."""
    close(run(l1_of(""), lambda x: CONTAINERS[kind]((x, jnp.arange(3)), None)).total, total(X))


def test_an_index_that_is_not_there_lists_the_keys(run: Any) -> None:
    """A LookupError with what there is."""
    with pytest.raises(LookupError, match=re.escape("got 'third'. It has: ['first', 'second'].")):
        run(l1_of("", index="third"), lambda x: {"first": x, "second": x})


@covers("an output without a floating array", "linen", "TypeError: `Tap`")
@covers("an output without a floating array", "nnx", "TypeError: `Tap`")
@pytest.mark.parametrize("value", [None, jnp.arange(3), jnp.ones(2, jnp.complex64), "text"], ids=str)
def test_an_output_without_a_floating_array_is_an_error(run: Any, value: Any) -> None:
    """Integers, complex numbers and opaque objects have no penalty, and the way out is named."""
    way_out = "Choose a module that has one, or name an array with Tap."
    with pytest.raises(TypeError, match=f"the output of '' must be a dense floating array.*{way_out}"):
        run(l1_of(""), lambda x: value)


@covers('`of="input"`', "linen")
@covers('`of="input"`', "nnx")
def test_inputs_are_found_by_position_and_by_name(run: Any) -> None:
    """A keyword has its name; several floating inputs ask for an index; a position never means a keyword."""

    def add(a: Any, b: Any = 0.0) -> Any:
        return a + b

    close(run(l1_of("", of="input"), add, X).total, total(X))
    close(run(l1_of("", of="input", index=1), add, X, 2 * X).total, 2 * total(X))
    close(run(l1_of("", of="input", index="b"), add, X, b=3 * X).total, 3 * total(X))
    with pytest.raises(ValueError, match=re.escape("Floating arrays are at: [0], ['b'].")):
        run(l1_of("", of="input"), add, X, b=X)
    with pytest.raises(LookupError, match=re.escape("It has: [0, 'b'].")):
        run(l1_of("", of="input", index=1), add, X, b=X)


@covers("several regularizers on one model", "linen")
@covers("several regularizers on one model", "nnx")
def test_regularizers_do_not_disturb_each_other(run: Any) -> None:
    """Two regularizers by turns, and two terms on one module, give what each gives alone."""
    first, second = l1_of(""), jaxreg.Regularizer(jaxreg.L2(1.0).on(jaxreg.activations("", per="batch")))
    both = jaxreg.Regularizer(*first.terms, *second.terms)
    double = run(both, lambda x: 2 * x).terms
    for _ in range(2):
        close(run(first, lambda x: 2 * x).total, double["s"])
        close(run(second, lambda x: 2 * x).total, double["L2"])
    close(double["s"], 2 * total(X))


def test_another_output_of_a_recurrent_module_has_axes_of_its_own() -> None:
    """The carry of a time-major RNN has samples first; its outputs are the primary ones, however they are named."""
    x = jax.random.normal(KEY, (5, 2, 3))
    rnn = nn.RNN(nn.GRUCell(4), time_major=True, return_carry=True)
    variables = rnn.init(KEY, x)
    carry, y = rnn.apply(variables, x)
    by_position = jaxreg.Regularizer(
        jaxreg.L1(1.0).on(jaxreg.activations("", index=0, per="position"), name="carry"),
        jaxreg.L1(1.0).on(jaxreg.activations("", per="example"), name="outputs"),
        jaxreg.L1(1.0).on(jaxreg.activations("", index=1, per="example"), name="by position"),
        jaxreg.L1(1.0).on(jaxreg.activations("", index=-1, per="example"), name="from the end"),
    )
    found = by_position.apply(rnn, variables, x)[1].terms
    close(found["carry"], total(carry) / 2)
    for name in ("outputs", "by position", "from the end"):
        close(found[name], total(y) / 2)
    by_name = jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.activations("", of="input", index="inputs")))
    close(by_name.apply(rnn, variables, inputs=x)[1].total, total(x) / 2)
    alone = nn.RNN(nn.GRUCell(4), time_major=True)
    close(
        jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.activations("", index=0, per="example")))
        .apply(alone, variables, x)[1]
        .total,
        total(y) / 2,
    )


class Wide(nn.RNNCellBase):
    """A cell whose carry has as many axes as the outputs of the whole sequence."""

    num_feature_axes: int = 1  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    @nn.nowrap
    def initialize_carry(self, rng: Any, input_shape: tuple[int, ...]) -> Any:
        return jnp.zeros((input_shape[0], 3, input_shape[1]))

    def __call__(self, carry: Any, x: Any) -> Any:
        return carry + x[:, None], 2 * x


def test_the_axes_of_the_outputs_are_not_those_of_the_carry() -> None:
    """Times come first in the outputs; in a carry of the same rank samples do."""
    x = jax.random.normal(KEY, (5, 4, 2))
    rnn = nn.RNN(Wide(), time_major=True, return_carry=True)
    found = jaxreg.Regularizer(
        jaxreg.L1(1.0).on(jaxreg.activations("", index=0), name="carry"),
        jaxreg.L1(1.0).on(jaxreg.activations("", index=1), name="outputs"),
    ).apply(rnn, {}, x)[1]
    close(found.terms["carry"], 3 * total(x.sum(0)) / 4)
    close(found.terms["outputs"], 2 * total(x) / 4)
