"""What the table of owners knows of Flax's modules, and is taught, seen through penalties."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from jaxreg import L1, GroupLasso, L2Norm, Regularizer, activations, owners, params, register_owner
from jaxreg.linen import Tap as LinenTap
from jaxreg.nnx import Tap as NnxTap
from jaxreg.sites import _may_mean

Apply = Callable[[Regularizer, jax.Array], Any]


def in_linen(module: linen.Module) -> Callable[[jax.Array], Apply]:
    """How to apply a regularizer to a linen module inside another."""

    class Model(linen.Module):
        inner: linen.Module

        def __call__(self, x: jax.Array) -> Any:
            return self.inner(x)

    def made(x: jax.Array) -> Apply:
        model = Model(module)
        variables = model.init(jax.random.key(0), x)
        return lambda reg, x: reg.apply(model, variables, x)

    return made


def in_nnx(make: Callable[[nnx.Rngs], nnx.Module]) -> Callable[[jax.Array], Apply]:
    """How to apply a regularizer to an nnx module inside another."""

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.inner = make(nnx.Rngs(0))

        def __call__(self, x: jax.Array) -> Any:
            return self.inner(x)

    def made(x: jax.Array) -> Apply:
        model = Model()
        return lambda reg, x: reg.apply(model, x)

    return made


# A module in its model, an array without a sample axis, and the place of that axis where there is one.
UNBATCHED: dict[str, tuple[Callable[[jax.Array], Apply], tuple[int, ...], int]] = {
    "linen.Dense": (in_linen(linen.Dense(3)), (4,), 0),
    "nnx.Linear": (in_nnx(lambda rngs: nnx.Linear(4, 3, rngs=rngs)), (4,), 0),
}


@pytest.mark.parametrize("case", UNBATCHED)
def test_an_output_without_samples_is_one_example(case: str) -> None:
    """Its penalty is not divided; that of two equal samples is divided by two."""
    made, shape, sample = UNBATCHED[case]
    x = jax.random.normal(jax.random.key(1), shape)
    reg, run = Regularizer(L1(1.0).on(activations("inner"), name="one")), made(x)
    output, alone = run(reg, x)
    both = run(reg, jnp.stack([x, x], axis=sample))[1]
    assert alone.total == pytest.approx(float(jnp.abs(output).sum()), rel=1e-5)
    assert both.total == pytest.approx(float(alone.total), rel=1e-5)


RECURRENT = {
    "linen": lambda first: in_linen(linen.RNN(linen.SimpleCell(3), time_major=first)),
    "nnx": lambda first: in_nnx(lambda rngs: nnx.RNN(nnx.SimpleCell(4, 3, rngs=rngs), time_major=first, rngs=rngs)),
}


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("world", RECURRENT)
def test_the_samples_of_a_recurrent_module(world: str, time_major: bool) -> None:
    """Their axis is the first, or the second where times come first."""
    x = jax.random.normal(jax.random.key(1), (2, 5, 4))
    reg = Regularizer(L1(1.0).on(activations("inner"), name="one"))
    output, penalties = RECURRENT[world](time_major)(x)(reg, x)
    assert penalties.total == pytest.approx(float(jnp.abs(output).sum()) / (5 if time_major else 2), rel=1e-5)


@pytest.mark.parametrize("kind", [nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell, nnx.SimpleCell])
def test_the_output_of_a_cell_is_its_second(kind: Any) -> None:
    """The carry that it returns first is a state."""

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.cell = kind(4, 3, rngs=nnx.Rngs(0))

        def __call__(self, x: jax.Array) -> Any:
            return self.cell(self.cell.initialize_carry(x.shape, nnx.Rngs(0)), x)

    x = jax.random.normal(jax.random.key(1), (2, 4))
    (_, output), penalties = Regularizer(L1(1.0).on(activations("cell"))).apply(Model(), x)
    assert penalties.total == pytest.approx(float(jnp.abs(output).sum()) / 2, rel=1e-5)


class LinenTaught(linen.Module):
    """A linen module that the table has never heard of."""

    @linen.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        self.param("matrix", linen.initializers.normal(1.0), (4, 3))
        self.param("gain", linen.initializers.normal(1.0), (3,))
        return {"aside": x, "main": jnp.abs(x)}


class NnxTaught(nnx.Module):
    """An nnx module that the table has never heard of."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.matrix = nnx.Param(jax.random.normal(rngs.params(), (4, 3)))
        self.gain = nnx.Param(jax.random.normal(rngs.params(), (3,)))

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        return {"aside": x, "main": jnp.abs(x)}


TAUGHT = {
    "linen, by class": (in_linen(LinenTaught()), LinenTaught),
    "linen, by name": (in_linen(LinenTaught()), "LinenTaught"),
    "nnx, by class": (in_nnx(NnxTaught), NnxTaught),
    "nnx, by name": (in_nnx(NnxTaught), "NnxTaught"),
}


@pytest.mark.parametrize("case", TAUGHT)
def test_what_it_is_taught(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles, pieces of a parameter, and which output has which axes."""
    monkeypatch.setattr(owners, "_TABLE", dict(owners._TABLE))
    made, kind = TAUGHT[case]
    x = jax.random.normal(jax.random.key(1), (2, 3, 5))
    register_owner(
        kind,
        roles={"matrix": "kernel", "gain": "scale"},
        layouts={"matrix": ("piece:2*out", "in")},
        output=("sample", "feature", "..."),
        primary="main",
    )
    reg = Regularizer(
        L2Norm(1.0).on(params("**.matrix"), name="matrix"),
        L2Norm(1.0).on(params(role="kernel"), name="kernel"),
        L1(1.0).on(params(role="scale"), name="scale"),
        L1(1.0).on(params("**.gain"), name="gain"),
        L1(1.0).on(activations("inner", per="position"), name="output"),
    )
    terms = made(x)(reg, x)[1].terms
    whole = Regularizer(L2Norm(1.0).on(params("**.matrix", layout=("out", "in")), name="whole"))
    assert terms["kernel"] == terms["matrix"]
    assert terms["scale"] == terms["gain"] > 0
    assert terms["matrix"] > made(x)(whole, x)[1].terms["whole"] * 1.01  # the norms of two halves
    assert terms["output"] == pytest.approx(float(jnp.abs(x).sum()) / 10, rel=1e-5)


@pytest.mark.parametrize("made", [in_linen(LinenTaught()), in_nnx(NnxTaught)], ids=["linen", "nnx"])
def test_an_array_that_nobody_knows_has_no_axes_but_one(made: Callable[[jax.Array], Apply]) -> None:
    """A vector is a row of outputs; what a matrix is must be said."""
    x = jnp.ones((2, 3))
    run, groups = made(x), GroupLasso(1.0)
    vector = Regularizer(groups.on(params("**.gain"), name="groups"), L1(1.0).on(params("**.gain"), name="l1"))
    terms = run(vector, x)[1].terms
    assert terms["groups"] == pytest.approx(float(terms["l1"]), rel=1e-6)
    with pytest.raises(ValueError, match="layout must be stated, because 'out'"):
        run(Regularizer(groups.on(params("**.matrix"))), x)
    assert run(Regularizer(groups.on(params("**.matrix", layout=("in", "out")))), x)[1].total > 0


def test_a_joined_array_that_is_not_floating_is_refused() -> None:
    """Numbers would otherwise be made of it in silence."""

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.whole, self.half = nnx.Param(jnp.arange(3)), nnx.Param(jnp.ones(2))

        def __call__(self, x: jax.Array) -> jax.Array:
            return x

    reg = Regularizer(L2Norm(1.0).on(params("**", joint=True)))
    with pytest.raises(TypeError, match="'whole' must be a dense floating array; got 'int32'"):
        reg.apply(Model(), jnp.ones((2, 4)))


@pytest.mark.parametrize("tap", [in_linen(LinenTap()), in_nnx(lambda rngs: NnxTap())], ids=["linen", "nnx"])
def test_a_vector_of_an_unknown_module_has_samples(tap: Callable[[jax.Array], Apply]) -> None:
    """Its first axis is taken for samples, as that of any other array is."""
    x = jnp.ones(4)
    total = tap(x)(Regularizer(L1(1.0).on(activations("inner"), name="one")), x)[1].total
    assert float(total) == 1.0


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**.x", "a.b", True),
        ("a", "a.b", False),
        ("a.*", "a.b", True),
        ("*.c", "a", True),
        ("b", "a", False),
        (re.compile("z"), "a", True),
    ],
)
def test_whether_a_pattern_may_mean_something_below(pattern: Any, path: str, expected: bool) -> None:
    """At a path of which nothing is known."""
    assert _may_mean(pattern, path) is expected


def test_a_type_that_there_is_not_is_an_error_though_it_may_be_skipped() -> None:
    """Nothing that did not run can be known to be of it."""
    reg = Regularizer(L1(1.0).on(activations(type="GRUCell", missing="skip")))
    with pytest.raises(LookupError, match=r"activations: type must be one that leaves something selected"):
        in_linen(linen.Dense(3))(jnp.ones((2, 4)))(reg, jnp.ones((2, 4)))
