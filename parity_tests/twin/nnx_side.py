"""An nnx module: a copy, whose variables are put in anew for each pass."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import attention

from .flax_side import Arrays, FlaxSide, Loss, primary, seen, widened
from .sides import Inputs
from .traces import Call, Layer, Trace

_NAME = "_twin_name"


class NnxSide(FlaxSide):
    """An nnx module; variables that are neither parameters nor random states are state."""

    def __init__(self, model: nnx.Module, batch: Inputs, dtype: str, train: bool, select: Loss | None) -> None:
        super().__init__(batch, dtype, select)
        self._own = model
        copied = nnx.clone(model)
        if train:
            copied.train()
        else:
            copied.eval()
        self._widen(copied)
        self._graph, self._whole = nnx.split(copied)
        self._paths: dict[str, tuple[Any, ...]] = {}
        for path, variable in nnx.to_flat_state(self._whole):
            if isinstance(variable, nnx.RngState):
                continue
            name = ".".join(map(str, path))
            self._paths[name] = path
            held = self._params if isinstance(variable, nnx.Param) else self._state
            held[name] = self.taken(name, variable.get_value())

    def _widen(self, model: nnx.Module) -> None:
        replaced = False
        for _, module in nnx.iter_modules(model):
            for name, value in widened(vars(module), self.dtype).items():
                setattr(module, name, value)
            if self.dtype == "float64" and getattr(module, "attention_fn", None) is nnx.dot_product_attention:
                module.attention_fn = attend  # pyright: ignore[reportAttributeAccessIssue]
                replaced = True
        if replaced:
            self.notes.append(
                "flax: nnx.dot_product_attention takes its softmax in float32 whatever it is given; here in float64."
            )

    def filled(self, arrays: dict[str, Any]) -> nnx.Module:
        model = nnx.clone(self._own)
        self._fill(model, self.narrowed(arrays))
        return model

    def _model(self, params: Arrays) -> nnx.Module:
        model = nnx.merge(self._graph, self._whole, copy=True)
        self._fill(model, {**self._state, **params})
        return model

    def _fill(self, model: nnx.Module, arrays: Arrays) -> None:
        tree: dict[Any, Any] = {}
        for name, array in arrays.items():
            *above, leaf = self._paths[name]
            inner = tree
            for key in above:
                inner = inner.setdefault(key, {})
            inner[leaf] = array
        nnx.update(model, tree)

    def layers(self) -> list[Layer]:
        return [Layer(name, module, type(module)) for name, module in _modules(self._model(self._params)).items()]

    def apply(self, params: Arrays, regularizer: Any) -> tuple[Any, Any]:
        model: Any = self._model(params)
        if regularizer is None:
            return model(*self.args, **self.kwargs), None
        return regularizer.apply(model, *self.args, **self.kwargs)

    def trace(self, *, abstract: bool = False) -> Trace:
        model: Any = nnx.merge(self._graph, self._whole, copy=True)
        modules = _modules(model)
        trace, names = Trace(modules=modules), {id(module): name for name, module in modules.items()}
        kinds: dict[type, type] = {}
        for name, module in modules.items():
            for inner in _inner(module):
                trace.standing_for[names[id(inner)]] = name
            setattr(module, _NAME, name)
        for module in modules.values():
            kind = type(module)
            object.__setattr__(module, "__class__", kinds.setdefault(kind, _watched(kind, trace)))

        parts = nnx.split(model)

        def run() -> Any:
            whole: Any = nnx.merge(*parts, copy=True)
            self._fill(whole, {**self._state, **self._params})
            return whole(*self.args, **self.kwargs)

        trace.outputs = self.outputs(abstract, run)
        return trace


def _modules(model: nnx.Module) -> dict[str, Any]:
    return {".".join(map(str, path)): module for path, module in nnx.iter_modules(model)}


def _inner(module: Any) -> list[Any]:
    """What a recurrent module runs."""
    if isinstance(module, nnx.RNN):
        return [module.cell]
    return [module.forward_rnn, module.backward_rnn] if isinstance(module, nnx.Bidirectional) else []


def _watched(kind: type, trace: Trace) -> type:
    """A subclass that notes each call; the instances are those of one pass, so nothing is put back."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls = trace.calls.setdefault(getattr(self, _NAME), [])
        output = kind.__call__(self, *args, **kwargs)  # pyright: ignore[reportCallIssue]
        cell = issubclass(kind, nnx.RNNCellBase)
        sequence = cell or issubclass(kind, nnx.RNN | nnx.Bidirectional)
        given = seen((args[1:] if cell else args, kwargs), floating=False)
        calls.append(Call(given, seen(primary(output, sequence), floating=True)))
        return output

    members: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    if any("__call__" in vars(base) for base in kind.__mro__):
        members["__call__"] = __call__
    return type(kind)(kind.__name__, (kind,), members)


def attend(query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, **settings: Any) -> Any:
    """``nnx.dot_product_attention`` by its own weights, without the fused function that narrows them."""
    known = {name: settings[name] for name in ("deterministic", "precision", "is_causal") if name in settings}
    weights = attention.dot_product_attention_weights(query, key, bias, mask, **known)
    return jnp.einsum("...hqk,...khd->...qhd", weights, value)
