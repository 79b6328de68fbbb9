"""``nn.jit`` on a class keeps its traces: none may be stale, and one that is served must still tell what it holds."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import jaxreg
from jaxreg.linen import Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.linen_models import Block, Holder, Stack

KEY = jax.random.key(1)
TRACES: list[str] = []


class Traced(nn.Module):
    """A block with a convolution, that tells when it is traced."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        TRACES.append("trace")
        y = nn.Conv(4, (3,), name="conv")(nn.Dense(4, name="dense")(x)[..., None])
        return Tap(name="act")(nn.relu(y.sum(-2)))


Jitted = nn.jit(Traced)
JittedStack = nn.jit(Stack)


@pytest.fixture
def model() -> Any:
    return Holder(Jitted)


@pytest.fixture
def variables(model: Any) -> Any:
    return model.init(KEY, X)


def traces(call: Any) -> tuple[Any, int]:
    """The result of a call, and how often it traced the model."""
    before = len(TRACES)
    return call(), len(TRACES) - before


def test_same_terms_trace_once_and_stay_right(model: Any, variables: Any) -> None:
    """Equal configurations share a trace, whether or not the regularizer is the same object."""
    expected = total(model.apply(variables, X))
    first, _ = traces(lambda: l1_of("inner.act").apply(model, variables, X)[1].total)
    second, again = traces(lambda: l1_of("inner.act").apply(model, variables, 2 * X)[1].total)
    assert again == 0
    close(first, expected)
    close(second, total(model.apply(variables, 2 * X)))


@covers("a jit inside the model (stale traces)", "linen")
def test_changed_terms_are_not_served_a_stale_trace(model: Any, variables: Any) -> None:
    """Another strength, penalty, target or normalisation is another trace."""
    y = np.asarray(model.apply(variables, X), np.float64)
    act = jaxreg.activations("inner.act", per="batch")
    for penalty, target, expected in [
        (jaxreg.L1(1.0), act, np.abs(y).sum()),
        (jaxreg.L1(2.0), act, 2 * np.abs(y).sum()),
        (jaxreg.L2(1.0), act, (y**2).sum()),
        (jaxreg.L2(1.0), jaxreg.activations("inner.act"), (y**2).sum() / len(y)),
    ]:
        close(jaxreg.Regularizer(penalty.on(target)).apply(model, variables, X)[1].total, expected)


@pytest.mark.parametrize("mutable", [False, True, nn.DenyList("params"), ["intermediates"]], ids=str)
def test_the_plain_model_and_the_penalised_one_do_not_share_traces(model: Any, variables: Any, mutable: Any) -> None:
    """Whatever the caller wants mutable: a trace of the plain call is not that of ours, nor ours of other terms."""
    plain = model.apply(variables, X, mutable=mutable)
    y = plain if mutable is False else plain[0]
    for strength in (1.0, 3.0):
        reg = jaxreg.Regularizer(jaxreg.L1(strength).on(jaxreg.activations("inner.act", per="batch")))
        close(reg.apply(model, variables, X, mutable=mutable)[1].total, strength * total(y))
    after = model.apply(variables, X, mutable=mutable)
    if mutable is not False:
        assert set(after[1]) == set(plain[1])


@covers("a changed mask under a jit inside", "linen")
def test_masks_are_not_served_a_stale_trace(model: Any, variables: Any) -> None:
    """Another mask of the same shape is another penalty, also where an array was changed in place."""
    y = model.apply(variables, X)
    reg, mask = l1_of("inner.act", mask="m"), np.ones(6)
    for row in range(3):
        mask[row] = 0
        close(reg.at(masks={"m": mask}).apply(model, variables, X)[1].total, total(y[row + 1 :]))


@covers("types and owners under a cached trace", "linen")
def test_a_served_trace_still_tells_types_and_owners(model: Any, variables: Any) -> None:
    """The second call, whose interior does not run, finds the same modules by type and the same groups by owner."""
    reg = jaxreg.Regularizer(
        jaxreg.L1(1.0).on(jaxreg.activations(type="Conv", per="batch"), name="by type"),
        jaxreg.L1(1.0).on(jaxreg.activations("inner.*", type=nn.Dense, per="batch"), name="by both"),
        jaxreg.GroupLasso(1.0).on(jaxreg.params(role="kernel"), name="groups"),
        jaxreg.GroupLasso(1.0, groups="kernel").on(jaxreg.params("inner.conv.kernel"), name="kernel"),
    )
    first, _ = traces(lambda: reg.apply(model, variables, X)[1])
    second, again = traces(lambda: reg.apply(model, variables, X)[1])
    assert again == 0
    assert set(first.layers["by type"]) == set(second.layers["by type"]) == {"inner.conv"}
    jax.tree.map(np.testing.assert_array_equal, first, second)
    with pytest.raises(LookupError, match="Nearest names"):
        l1_of("inner.acts").apply(model, variables, X)


def test_a_failed_trace_is_not_served() -> None:
    """What an undeclared scan inside nn.jit loses is an error every time, also next to something that is found."""
    model = Holder(lambda name: JittedStack({}, name=name))
    variables = model.init(KEY, X)
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"delivered for 'inner\.steps\.block\.act'"):
            l1_of(("inner", "**.act")).apply(model, variables, X)


def test_numbers_of_configurations_do_not_collide() -> None:
    """Configurations whose hashes are equal (those of -1 and -2 are) still have traces of their own."""

    class Pair(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return Tap(name="both")({-1: x, -2: 3 * x})[-1]

    model = Holder(nn.jit(Pair))
    assert hash((-1,)) == hash((-2,))
    close(l1_of("inner.both", index=-1).apply(model, {}, X)[1].total, total(X))
    close(l1_of("inner.both", index=-2).apply(model, {}, X)[1].total, 3 * total(X))


def test_decorated_method_counts_once_traced_or_served() -> None:
    """A method decorated with nn.jit is one call, whether it runs or its trace is served."""

    class Decorated(nn.Module):
        @nn.jit
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return Block(name="block")(x)

    model = Holder(Decorated)
    variables = model.init(KEY, X)
    expected = total(model.apply(variables, X))
    for _ in range(2):
        found = l1_of(("inner", "inner.block.act")).apply(model, variables, X)[1].layers["s"]
        close(found["inner"], expected)
        close(found["inner.block.act"], expected)


def test_gradients_through_a_served_trace(model: Any, variables: Any) -> None:
    """The gradient through nn.jit is that of the plain function, the second time too."""
    reg = l1_of("inner.act")
    expected = jax.grad(lambda v: jnp.abs(model.apply(v, X)).sum())(variables)
    for _ in range(2):
        found = jax.grad(lambda v: reg.apply(model, v, X)[1].total)(variables)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)
