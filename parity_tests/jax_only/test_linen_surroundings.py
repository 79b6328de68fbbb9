"""What surrounds a linen pass: threads, other passes, jax's own transforms, a Tap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from jaxreg import L1, Regularizer, activations
from jaxreg.linen import Tap
from parity_tests.capture_table import covers


class Inner(nn.Module):
    """A layer whose ReLU has a name."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return Tap(name="act")(nn.relu(nn.Dense(3)(x)))


REG = Regularizer(L1(1.0).on(activations("act", per="batch"), name="l1"))
X = jnp.linspace(-1.0, 1.0, 8).reshape(2, 4)


def _variables(seed: int) -> Any:
    return Inner().init(jax.random.key(seed), X)


@covers("a tensor named with `Tap`", "linen")
def test_a_tap_is_the_value_it_is_given() -> None:
    """The penalty is that of the function's result, and its gradient that of the plain model."""
    variables = _variables(0)

    def by_hand(tree: Any) -> Any:
        y: Any = Inner().apply(tree, X)
        return jnp.abs(y).sum()

    def by_tap(tree: Any) -> Any:
        return REG.apply(Inner(), tree, X)[1].total

    assert by_tap(variables) == by_hand(variables)
    expected, found = jax.grad(by_hand)(variables), jax.grad(by_tap)(variables)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), expected, found))


@covers("threads", "linen")
def test_passes_in_threads_do_not_mix() -> None:
    """8 threads, each with a model of its own, 20 passes each: every one has its own penalty."""
    trees = [_variables(seed) for seed in range(8)]
    outputs: list[Any] = [Inner().apply(tree, X) for tree in trees]
    expected = [jnp.abs(y).sum().item() for y in outputs]

    def passes(tree: Any) -> set[float]:
        return {REG.apply(Inner(), tree, X)[1].total.item() for _ in range(20)}

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(passes, trees))
    assert found == [{value} for value in expected]


@covers("a pass inside a pass", "linen")
@pytest.mark.parametrize("lifted", [False, True])
def test_a_pass_inside_a_pass(lifted: bool) -> None:
    """A model that itself runs another with its penalties: each pass has its own, and neither hears the other."""
    inner, model = _variables(1), nn.jit(Inner)() if lifted else Inner()
    inside: list[float] = []

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            y, penalties = REG.apply(model, inner, x)
            inside.append(penalties.total.item())
            return Tap(name="act")(2.0 * y)

    y, penalties = REG.apply(Outer(), {}, X)
    alone = REG.apply(model, inner, X)[1].total.item()
    assert inside == [alone]
    assert penalties.total == jnp.abs(y).sum()


@covers("a transform that knows no modules", "linen", "RuntimeError: the transforms that do")
@pytest.mark.parametrize(
    "transform",
    [
        jax.checkpoint,
        jax.vmap,
        lambda f: jax.grad(lambda v: f(v).sum()),
        lambda f: lambda v: jax.checkpoint(f)(v) + jax.checkpoint(f)(v),
    ],
    ids=["checkpoint", "vmap", "grad", "twice"],
)
@pytest.mark.parametrize("lifted", [False, True])
def test_jax_transforms_inside_a_model_are_refused(transform: Any, lifted: bool) -> None:
    """jax's own transforms around a module's call cannot hand a penalty out; the error names those that can."""

    class Raw(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            tap = Tap(name="act")
            return transform(lambda v: tap(nn.relu(v)))(x)

    with pytest.raises(RuntimeError) as caught:
        REG.apply(nn.jit(Raw)() if lifted else Raw(), {}, X)
    assert str(caught.value) == (
        "Regularizer.apply: a selected module must be called inside linen's own transforms, because jax's own know no "
        "modules; got 'a leak'. Use nn.remat, nn.scan, nn.vmap, nn.jit; or name what the transform returns with "
        "jaxreg.linen.Tap."
    )


def test_a_leak_of_the_models_own_stays_its_own() -> None:
    """A tracer that the model itself lets escape is not called one of ours."""
    kept: list[Any] = []

    class Leaking(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            jax.jit(lambda v: kept.append(v + 1))(x)
            return Tap(name="act")(x) + kept[0]

    with pytest.raises(jax.errors.UnexpectedTracerError):
        REG.apply(Leaking(), {}, X)
