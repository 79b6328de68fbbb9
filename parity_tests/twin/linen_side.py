"""A linen module and its variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, traverse_util
from flax.core import meta, unfreeze

from torchreg._spec.errors import sentence

from .flax_side import Arrays, FlaxSide, Loss, primary, seen, widened
from .sides import Inputs, converted
from .traces import Call, Layer, Trace

_NO_PARAMETERS = ("intermediates", "losses", "metrics")


class LinenSide(FlaxSide):
    """A linen module; without variables those of its own ``init``."""

    def __init__(
        self, model: linen.Module, variables: Any, batch: Inputs, dtype: str, select: Loss | None, wide: bool
    ) -> None:
        super().__init__(batch, dtype, select)
        self.model = model
        if variables is None:
            variables = _initialised(model, batch, wide)
        self._paths: dict[str, tuple[str, tuple[str, ...]]] = {}
        for collection, tree in unfreeze(meta.unbox(variables)).items():
            if collection not in _NO_PARAMETERS:
                self._take(collection, tree)
        self._modules: dict[str, Any] = {}

    def _take(self, collection: str, tree: Mapping[str, Any]) -> None:
        held = self._params if collection == "params" else self._state
        for path, leaf in traverse_util.flatten_dict(tree).items():
            name = ".".join(path)
            if name in self._paths:
                raise ValueError(sentence("compare", "variables", "without one name in two collections", name))
            self._paths[name] = (collection, path)
            held[name] = self.taken(name, leaf)

    def filled(self, arrays: dict[str, Any]) -> dict[str, Any]:
        return self._variables(self.narrowed(arrays))

    def _variables(self, params: Arrays) -> dict[str, Any]:
        flat = {(self._paths[name][0], *self._paths[name][1]): leaf for name, leaf in {**self._state, **params}.items()}
        return {"params": {}} | traverse_util.unflatten_dict(flat)

    def layers(self) -> list[Layer]:
        if not self._modules:
            self._modules = self.trace(abstract=True).modules
        return [Layer(name, module, type(module)) for name, module in self._modules.items()]

    def trace(self, *, abstract: bool = False) -> Trace:
        trace = Trace()

        def watch(following: Any, args: Any, kwargs: Any, context: Any) -> Any:
            module, name = context.module, ".".join(context.module.path)
            trace.modules.setdefault(name, module)
            if context.method_name != "__call__":
                return following(*args, **kwargs)
            calls = trace.calls.setdefault(name, [])
            for inner in _inner(module):
                trace.standing_for[".".join(inner.path)] = name
            output = following(*args, **kwargs)
            sequence = isinstance(module, linen.RNN | linen.Bidirectional | linen.RNNCellBase)
            given = seen((args[1:] if isinstance(module, linen.RNNCellBase) else args, kwargs), floating=False)
            calls.append(Call(given, seen(primary(output, sequence), floating=True)))
            return output

        with linen.intercept_methods(watch):
            trace.outputs = self.outputs(abstract, lambda: self.apply(self._params, None)[0])
        self._modules = self._modules or trace.modules
        return trace

    def apply(self, params: Arrays, regularizer: Any) -> tuple[Any, Any]:
        variables = self._variables(params)
        mutable = [collection for collection in variables if collection != "params"]
        kwargs = {**self.kwargs, **({"mutable": mutable} if mutable else {})}
        with linen.intercept_methods(self._widen):
            if regularizer is None:
                output, penalties = self.model.apply(variables, *self.args, **kwargs), None
            else:
                output, penalties = regularizer.apply(self.model, variables, *self.args, **kwargs)
        return (output[0] if mutable else output), penalties  # pyright: ignore[reportIndexIssue]

    def _widen(self, following: Any, args: Any, kwargs: Any, context: Any) -> Any:
        """The modules that linen makes for one pass keep their dtypes; a carry, say, would else stay narrow."""
        for module in (context.module, *_inner(context.module)):
            for name, value in widened(vars(module), self.dtype).items():
                object.__setattr__(module, name, value)
        return following(*args, **kwargs)


def _inner(module: Any) -> list[Any]:
    """What a recurrent module runs, as bound in this pass."""
    found: list[Any]
    if isinstance(module, linen.RNN):
        found = [module.cell]
    elif isinstance(module, linen.Bidirectional):
        found = [module.forward_rnn, module.backward_rnn]
    else:
        return []
    return [inner for inner in found if inner.scope is not None]


def _initialised(model: linen.Module, batch: Inputs, wide: bool) -> Any:
    """The variables that the caller's own ``init`` would give, in the dtypes that it would give them."""
    with jax.enable_x64(wide):
        given = converted(tuple(batch), "float64" if wide else "float32", jnp.asarray)
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        return jax.jit(lambda: model.init(keys, *given[0], **given[1]))()
