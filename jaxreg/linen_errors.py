"""The sentences of a linen pass that lost something: what, where, and the line to add."""

from __future__ import annotations

from collections.abc import Iterable

from ._spec.errors import sentence


def undeclared(name: str) -> str:
    hint = (
        f"The lifted transform around {name!r} drops the collection: add jaxreg.linen.COLLECTION to it, as in "
        "nn.scan(..., variable_axes={jaxreg.linen.COLLECTION: 0})."
    )
    return sentence("activations", "the collection", f"delivered for {name!r}", "nothing", hint)


def unstacked(name: str) -> str:
    hint = (
        f"The lifted transform around {name!r} counts all its turns once: declare the collection as neither broadcast "
        "nor None, but in nn.scan(..., variable_axes={jaxreg.linen.COLLECTION: 0})."
    )
    return sentence("activations", "the collection", f"delivered for every turn at {name!r}", "one", hint)


def hidden(name: str) -> str:
    hint = (
        f"The lifted transform around {name!r} does not see it, and would write over it: declare the collection with "
        "an axis both ways, as in nn.scan(..., variable_axes={jaxreg.linen.COLLECTION: 0})."
    )
    return sentence("activations", "the collection", f"given what earlier calls of {name!r} left", "nothing", hint)


def dropped_gradient(name: str) -> str:
    hint = (
        f"nn.custom_vjp around {name!r} has a backward of its own, which knows no penalty: name what it returns with "
        "jaxreg.linen.Tap."
    )
    return sentence("activations", "gradients", f"those of autodiff at {name!r}", "nn.custom_vjp", hint)


def fixed(names: Iterable[str]) -> str:
    hint = (
        "nn.cond, nn.switch, nn.while_loop and variable_carry fix the structure of collections: name their result with "
        "jaxreg.linen.Tap outside of them; in nn.scan and nn.vmap, declare variable_axes={jaxreg.linen.COLLECTION: 0}."
    )
    found = tuple(sorted(names)[:3])
    return sentence("activations", "the collection", "free to grow where a selected module runs", found, hint)


def leaked() -> str:
    """One of jax's own transforms runs a selected module."""
    hint = "Use nn.remat, nn.scan, nn.vmap, nn.jit; or name what the transform returns with jaxreg.linen.Tap."
    expected = "called inside linen's own transforms, because jax's own know no modules"
    return sentence("Regularizer.apply", "a selected module", expected, "a leak", hint)
