"""What a linen model may do beside calling its modules: fail and go on, run others, hold what cannot be hashed."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import jaxreg
from jaxreg import linen
from jaxreg.linen import Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total

KEY = jax.random.key(1)


class Helper(nn.Module):
    """A module that is used without being part of any model."""

    def triple(self, x: Any) -> Any:
        return 3 * x


class Named(nn.Module):
    """One tap."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return Tap(name="act")(x)


@covers("other modules inside the model", "linen")
@pytest.mark.parametrize("other", ["unbound", "another apply", "another init"])
def test_modules_of_no_or_another_model_do_not_count(other: str) -> None:
    """A method of an unbound module, and another model's plain apply with the same names, are functions to a pass."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            if other == "another init":
                nn.jit(Named)().init(KEY, x)
            x = Named().apply({}, 3 * x) if other == "another apply" else Helper(parent=None).triple(x)
            return Tap(name="act")(x)

    close(l1_of("act").apply(Model(), {}, X)[1].total, 3 * total(X))


def test_a_model_that_survives_a_failing_call() -> None:
    """A call that raises, and that the model catches, leaves the next call of the same module what it is."""

    class Failing(nn.Module):
        def __call__(self, x: Any, fail: bool = False) -> Any:
            self.sow("intermediates", "hidden", 2 * x)
            if fail:
                raise ArithmeticError
            return self.half(x)

        def half(self, x: Any) -> Any:
            self.sow("intermediates", "hidden", x)
            return x / 2

    class Model(nn.Module):
        def setup(self) -> None:
            self.inner = Failing()

        def __call__(self, x: Any) -> Any:
            with suppress(ArithmeticError):
                self.inner(x, fail=True)
            return self.inner(x)

    found = l1_of(("inner", "inner.hidden")).apply(Model(), {}, X)[1].layers["s"]
    close(found["inner"], total(X) / 2)
    close(found["inner.hidden"], 3 * total(X))  # of the call that failed nothing counts


@pytest.mark.parametrize("missing", ["error", "skip"])
def test_a_mapping_that_is_sown_is_an_error(missing: Any) -> None:
    """A sow with a reduction of its own may leave a mapping, which looks like the values of a submodule: use Tap."""

    class Model(nn.Module):
        def __call__(self, x: Any) -> Any:
            self.sow("intermediates", "stats", {"twice": 2 * x}, lambda _, new: new, dict)
            return x

    with pytest.raises(RuntimeError, match=r"\('stats\.twice',\)\. .*jaxreg\.linen\.Tap"):
        l1_of("stats.twice", missing=missing).apply(Model(), {}, X)


def test_a_method_alone_is_no_call() -> None:
    """A submodule whose other methods run, but never its ``__call__``, did not run."""

    class Inner(nn.Module):
        def __call__(self, x: Any) -> Any:
            return x

        def half(self, x: Any) -> Any:
            return x / 2

    class Model(nn.Module):
        def setup(self) -> None:
            self.inner = Inner()

        def __call__(self, x: Any) -> Any:
            return self.inner.half(x)

    with pytest.raises(RuntimeError, match=r"modules that ran in the pass; got \('inner',\)"):
        l1_of("inner").apply(Model(), {}, X)


def test_the_callers_captures_of_a_call_inside_a_method_are_his() -> None:
    """capture_intermediates=True stores the root's own ``__call__``, which a method runs, next to what it sows."""

    class Model(nn.Module):
        def encode(self, x: Any) -> Any:
            return self(x)

        def __call__(self, x: Any) -> Any:
            self.sow("intermediates", "hidden", 2 * x)
            return x

    keywords: Any = {"method": "encode", "capture_intermediates": True}
    found = l1_of("**").apply(Model(), {}, X, **keywords)[1].layers["s"]
    assert set(found) == {"hidden"}
    close(found["hidden"], 2 * total(X))


def test_an_unchanged_reduced_value_stays_what_it_was() -> None:
    """A second call that leaves an infinite sown value alone adds 0, not the difference of two infinities."""

    class Once(nn.Module):
        def __call__(self, x: Any, sows: bool) -> Any:
            if sows:
                self.sow("intermediates", "sum", jnp.inf * jnp.ones(()), jnp.add, lambda: jnp.zeros(()))
            return x

    class Model(nn.Module):
        def setup(self) -> None:
            self.inner = Once()

        def __call__(self, x: Any) -> Any:
            return self.inner(self.inner(x, True), False)

    assert l1_of("inner.sum").apply(Model(), {}, X)[1].total == jnp.inf


def test_parameters_that_the_pass_makes_are_penalised() -> None:
    """Lazy initialisation: parameters that ``mutable`` lets a first apply make are those of its penalty."""
    reg = jaxreg.Regularizer(jaxreg.L1(1.0).on(jaxreg.params(role="kernel"), name="k"))
    (_, state), penalties = reg.apply(nn.Dense(4), {}, X, mutable=["params"], rngs={"params": KEY})
    close(penalties.total, total(state["params"]["kernel"]))


def test_a_model_that_cannot_be_hashed() -> None:
    """An array as an attribute keeps a model from being hashed, and from nothing else."""

    class Model(nn.Module):
        factor: Any

        @nn.compact
        def __call__(self, x: Any) -> Any:
            return Tap(name="act")(self.factor * x)

    with pytest.raises(TypeError):
        hash(Model(jnp.ones(4)))
    for factor in (1.0, 2.0):
        close(l1_of("act").apply(Model(factor * jnp.ones(4)), {}, X)[1].total, factor * total(X))


def test_numbers_of_configurations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many configurations do not gather; after they were forgotten the traces are right."""
    monkeypatch.setattr(linen, "_KEPT_NUMBERS", 3)
    model: Any = nn.jit(Named)()
    for strength in (1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 2.0):
        reg = jaxreg.Regularizer(jaxreg.L1(strength).on(jaxreg.activations("act", per="batch")))
        close(reg.apply(model, {}, X)[1].total, strength * total(X))
        assert len(linen._numbers) <= 4


def test_patterns_that_may_mean_a_sown_value() -> None:
    """Globs and regular expressions, with stars at the end, reach what a module sows below its path."""

    class Sower(nn.Module):
        def __call__(self, x: Any) -> Any:
            self.sow("intermediates", "hidden", 2 * x)
            return x

    class Model(nn.Module):
        def setup(self) -> None:
            self.inner = Sower()

        def __call__(self, x: Any) -> Any:
            return self.inner(x)

    for pattern in ("inner.**", "**.hidden", "*.hid*", "inner.hidden", re.compile(r"inner\.hid.*")):
        found = l1_of(pattern).apply(Model(), {}, X)[1].layers["s"]
        assert set(found) == {"inner.hidden"}
        close(found["inner.hidden"], 2 * total(X))
    assert set(l1_of("**").apply(Model(), {}, X)[1].layers["s"]) == {"inner", "inner.hidden"}
    assert set(l1_of("**", type="Sower").apply(Model(), {}, X)[1].layers["s"]) == {"inner"}
    assert set(l1_of("**", of="input").apply(Model(), {}, X)[1].layers["s"]) == {"inner"}
    assert set(l1_of("**", exclude="*.hidden").apply(Model(), {}, X)[1].layers["s"]) == {"inner"}
