"""What the framework's modules own: the role and native axes of each parameter, the axes and place of the output.

One table, looked up by class, along the method resolution order, and by class name for libraries that are not
imported here. :func:`register_owner` adds to it. In Flax a parameter's own name tells its role, and arrays are
feature-last unless the table says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flax import linen, nnx

from ._spec.errors import choice, sentence
from ._spec.layout import Layout, check_layout
from ._spec.targets import ROLES

FEATURE_LAST: Layout = ("sample", "...", "feature")
TIME_FIRST: Layout = ("p0", "sample", "feature")


@dataclass(frozen=True)
class Owner:
    """What is known of one module type.

    Attributes:
        roles: parameter name to role.
        layouts: parameter name to native axes, or a function of the module where its settings decide; the parameter of
            a child is named with it, as in ``"dense_i.kernel"``.
        output: native axes of the primary output, or a function of the module where its settings decide.
        unbatched_rank: the rank at which an output has no sample axis, where the type allows that.
        primary: position or key of the primary output, where there are several.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    layouts: Mapping[str, Layout | Callable[[Any], Layout]] = field(default_factory=dict)
    output: Layout | Callable[[Any], Layout] | None = None
    unbatched_rank: int | None = None
    primary: int | str | None = None

    def output_layout(self, module: Any, rank: int) -> Layout:
        """The native axes of an output of a rank."""
        layout = self.output(module) if callable(self.output) else self.output
        if layout is None:
            return FEATURE_LAST
        if rank == self.unbatched_rank:
            return tuple(axis for axis in layout if axis != "sample")
        return layout


def _sequence(module: Any) -> Layout:
    return TIME_FIRST if getattr(module, "time_major", False) else FEATURE_LAST


def _kernel_axes(module: Any) -> Layout:
    return tuple(f"k{i}" for i in range(len(_several(module.kernel_size))))


def _convolution_kernel(module: Any) -> Layout:
    return (*_kernel_axes(module), "in", "out")


def _transposed_kernel(module: Any) -> Layout:
    return (*_kernel_axes(module), *(("out", "in") if module.transpose_kernel else ("in", "out")))


def _general_kernel(module: Any) -> Layout:
    batch, taken, made = _general(module)
    return ("piece",) * batch + ("in",) * taken + ("out",) * made


def _general_bias(module: Any) -> Layout:
    batch, _, made = _general(module)
    return ("piece",) * batch + ("out",) * made


def _general(module: Any) -> tuple[int, int, int]:
    """How many batch axes, input axes and output axes a general linear layer has (linen and nnx name them apart)."""
    batch = getattr(module, "batch_dims", None) or getattr(module, "batch_axis", None) or ()
    made = module.features if isinstance(module, linen.DenseGeneral) else module.out_features
    return len(batch), len(_several(module.axis)), len(_several(made))


def _normalised(module: Any) -> Layout:
    """The axes of a gain or bias: the features of a normalisation, merged."""
    features = getattr(module, "feature_axes", getattr(module, "axis", -1))
    return ("out",) * len(_several(features))


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _fused(gates: int) -> Owner:
    """An nnx cell whose two linear layers compute all gates at once: every gate is a piece."""
    fused = f"piece:{gates}*out"
    kernels: dict[str, Layout] = {f"dense_{side}.kernel": ("in", fused) for side in "ih"}
    return Owner({}, {**kernels, "dense_i.bias": (fused,), "dense_h.bias": (fused,)}, primary=1)


_LINEAR = Owner({}, {"kernel": ("in", "out"), "bias": ("out",)}, FEATURE_LAST, unbatched_rank=1)
_GENERAL = Owner({}, {"kernel": _general_kernel, "bias": _general_bias})
_CONVOLUTION = Owner({}, {"kernel": _convolution_kernel, "bias": ("out",)})
_TRANSPOSED = Owner({}, {"kernel": _transposed_kernel, "bias": ("out",)})
_NORMALISED = Owner({}, {"scale": _normalised, "bias": _normalised})
_VECTORS = Owner({}, {"scale": ("out",), "bias": ("out",)})
_UNKNOWN_KERNEL = Owner({}, {"kernel": ()})
_EMBEDDING = Owner({}, {"embedding": ("in", "out")})
_CELL = Owner(primary=1)

_TABLE: dict[type | str, Owner] = {
    linen.Dense: _LINEAR,
    nnx.Linear: _LINEAR,
    linen.Conv: _CONVOLUTION,
    nnx.Conv: _CONVOLUTION,
    linen.DenseGeneral: _GENERAL,
    nnx.LinearGeneral: _GENERAL,
    linen.ConvTranspose: _TRANSPOSED,
    nnx.ConvTranspose: _TRANSPOSED,
    linen.ConvLocal: _UNKNOWN_KERNEL,
    **dict.fromkeys((linen.BatchNorm, linen.LayerNorm, linen.RMSNorm, linen.InstanceNorm), _NORMALISED),
    **dict.fromkeys((nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm), _NORMALISED),
    linen.GroupNorm: _VECTORS,
    nnx.GroupNorm: _VECTORS,
    linen.Embed: _EMBEDDING,
    nnx.Embed: _EMBEDDING,
    linen.RNN: Owner(output=_sequence, primary=1),
    nnx.RNN: Owner(output=_sequence, primary=1),
    nnx.OptimizedLSTMCell: _fused(4),
    nnx.GRUCell: _fused(3),
    linen.RNNCellBase: _CELL,
    nnx.RNNCellBase: _CELL,
}

_NOBODY = Owner()


def owner_of(kind: type) -> Owner:
    """What is known of a module class, or of the nearest class it inherits from."""
    for base in kind.__mro__:
        found = _TABLE.get(base) or _TABLE.get(base.__name__)
        if found is not None:
            return found
    return _NOBODY


def role_of(module: Any, leaf: str) -> str | None:
    """The role of a parameter: what its owner says, otherwise its own name where that is a role."""
    registered = owner_of(type(module)).roles.get(leaf) if module is not None else None
    return registered or (leaf if leaf in ROLES else None)


def layout_of(module: Any, leaf: str, rank: int, parent: Any = None, name: str = "") -> Layout | None:
    """The native axes of a parameter, or None where nobody knows.

    The parent of the owner is asked first, which may fuse several kernels in a child called ``name``. A kernel or
    embedding of rank 2 is ``in, out`` also where its owner is not known, as everywhere in Flax.
    """
    for owner, key in ((parent, f"{name}.{leaf}"), (module, leaf)):
        layouts = owner_of(type(owner)).layouts
        if key in layouts:
            layout = layouts[key]
            return (layout(owner) if callable(layout) else layout) or None
    return ("in", "out") if rank == 2 and leaf in ("kernel", "embedding") else None


def register_owner(
    kind: type | str,
    *,
    roles: Mapping[str, str] | None = None,
    layouts: Mapping[str, tuple[Any, ...]] | None = None,
    output: tuple[Any, ...] | None = None,
    primary: int | str | None = None,
) -> None:
    """Teaches the table of owners a module type.

    Args:
        kind: the class, or the name of a class that should not be imported for this.
        roles: parameter name to role: ``"kernel"``, ``"bias"``, ``"scale"`` or ``"embedding"``.
        layouts: parameter name to native axes, as in ``{"weight": ("in", "out")}``.
        output: native axes of the primary output, as in ``("sample", "feature", "...")``.
        primary: position or key of the primary output, where there are several.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: a role or an axis name is not known.
    """
    where = "register_owner"
    if not isinstance(kind, type | str):
        raise TypeError(sentence(where, "kind", "a class or a class name", kind))
    for argument, value in (("roles", roles), ("layouts", layouts)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(sentence(where, argument, "a mapping from parameter names, or None", value))
    checked = {name: check_layout("params", axes) for name, axes in (layouts or {}).items()}
    _TABLE[kind] = Owner(
        {name: choice(where, "roles", role, ROLES) for name, role in (roles or {}).items()},
        {name: axes for name, axes in checked.items() if axes is not None},
        check_layout("activations", output),
        None,
        primary,
    )
