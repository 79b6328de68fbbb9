"""What the framework's modules own: the role and native axes of each parameter, the axes and place of the output.

One table, looked up by class, along the method resolution order, and by class name for libraries that are not
imported here. :func:`register_owner` adds to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from ._spec.errors import choice, sentence
from ._spec.layout import Layout, check_layout
from ._spec.targets import ROLES


@dataclass(frozen=True)
class Owner:
    """What is known of one module type.

    Attributes:
        roles: parameter name to role.
        layouts: parameter name to native axes, or a function of the module where its settings decide.
        output: native axes of the primary output, or a function of the module where its settings decide.
        unbatched_rank: the rank at which an output has no sample axis, where the type allows that.
        primary: position or key of the primary output, where there are several.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    layouts: Mapping[str, Layout | Callable[[Any], Layout]] = field(default_factory=dict)
    output: Layout | Callable[[Any], Layout] | None = None
    unbatched_rank: int | None = None
    primary: int | str | None = None

    def output_layout(self, module: nn.Module, rank: int) -> Layout | None:
        """The native axes of an output of a rank, or None where nobody knows."""
        layout = self.output(module) if callable(self.output) else self.output
        if layout is not None and rank == self.unbatched_rank:
            return tuple(axis for axis in layout if axis != "sample")
        return layout


FEATURE_LAST: Layout = ("sample", "...", "feature")
CHANNEL_FIRST: Layout = ("sample", "feature", "...")

TIME_FIRST: Layout = ("p0", "sample", "feature")


def _sequence(module: Any) -> Layout:
    """Recurrent and attention modules are time-first unless they, or the attention inside them, say otherwise."""
    first = getattr(module, "layers", [module])[0]
    inner = getattr(first, "self_attn", first)
    return FEATURE_LAST if getattr(inner, "batch_first", False) else TIME_FIRST


_AFFINE = {"weight": "scale", "bias": "bias"}
_VECTOR: dict[str, Layout] = {"weight": ("out",), "bias": ("out",)}


def _convolution(positions: int) -> Owner:
    layouts: dict[str, Layout] = {"weight": ("out", "in", "..."), "bias": ("out",)}
    return Owner({"weight": "kernel", "bias": "bias"}, layouts, CHANNEL_FIRST, positions + 1)


def _transposed(positions: int) -> Owner:
    layouts = {"weight": _transposed_kernel, "bias": ("out",)}
    return Owner({"weight": "kernel", "bias": "bias"}, layouts, CHANNEL_FIRST, positions + 1)


def _transposed_kernel(module: Any) -> Layout:
    """``(in, out / groups, ...)``: the inputs come group by group, and with them the outputs."""
    return ("in", "out", "...") if module.groups == 1 else (f"out:{module.groups}*in", "out", "...")


def _recurrent(gates: int) -> Owner:
    """Cells and layers of cells: every gate is a piece, and ``weight_hr`` (an LSTM's projection) is one."""
    names = [f"{kind}_{side}" for kind in ("weight", "bias") for side in ("ih", "hh")]
    roles = {name: "kernel" if name.startswith("weight") else "bias" for name in (*names, "weight_hr")}
    fused = "out" if gates == 1 else f"piece:{gates}*out"
    layouts: dict[str, Layout] = {name: (fused, "in") if name.startswith("weight") else (fused,) for name in names}
    return Owner(roles, layouts | {"weight_hr": ("out", "in")}, _sequence, unbatched_rank=2, primary=0)


def _cell(gates: int) -> Owner:
    return replace(_recurrent(gates), output=FEATURE_LAST, unbatched_rank=1)


_NORMALISED = Owner(_AFFINE, _VECTOR, CHANNEL_FIRST)
_TABLE: dict[type | str, Owner] = {
    nn.Linear: Owner(
        {"weight": "kernel", "bias": "bias"},
        {"weight": ("out", "in"), "bias": ("out",)},
        FEATURE_LAST,
        unbatched_rank=1,
    ),
    nn.Bilinear: Owner({"weight": "kernel", "bias": "bias"}, {"bias": ("out",)}, FEATURE_LAST),
    nn.Conv1d: _convolution(1),
    nn.Conv2d: _convolution(2),
    nn.Conv3d: _convolution(3),
    nn.ConvTranspose1d: _transposed(1),
    nn.ConvTranspose2d: _transposed(2),
    nn.ConvTranspose3d: _transposed(3),
    nn.BatchNorm1d: _NORMALISED,
    nn.BatchNorm2d: _NORMALISED,
    nn.BatchNorm3d: _NORMALISED,
    nn.SyncBatchNorm: _NORMALISED,
    nn.GroupNorm: _NORMALISED,
    nn.InstanceNorm1d: Owner(_AFFINE, _VECTOR, CHANNEL_FIRST, unbatched_rank=2),
    nn.InstanceNorm2d: Owner(_AFFINE, _VECTOR, CHANNEL_FIRST, unbatched_rank=3),
    nn.InstanceNorm3d: Owner(_AFFINE, _VECTOR, CHANNEL_FIRST, unbatched_rank=4),
    nn.LayerNorm: Owner(_AFFINE, {}, FEATURE_LAST),
    nn.RMSNorm: Owner(_AFFINE, {}, FEATURE_LAST),
    "RMSNorm": Owner(_AFFINE, _VECTOR, FEATURE_LAST),
    "LlamaRMSNorm": Owner(_AFFINE, _VECTOR, FEATURE_LAST),
    "T5LayerNorm": Owner(_AFFINE, _VECTOR, FEATURE_LAST),
    nn.Embedding: Owner({"weight": "embedding"}, {"weight": ("in", "out")}, FEATURE_LAST),
    nn.EmbeddingBag: Owner({"weight": "embedding"}, {"weight": ("in", "out")}, FEATURE_LAST),
    "Conv1D": Owner({"weight": "kernel", "bias": "bias"}, {"weight": ("in", "out"), "bias": ("out",)}, FEATURE_LAST),
    nn.MultiheadAttention: Owner(
        {f"{name}_proj_weight": "kernel" for name in ("in", "q", "k", "v")}
        | {"in_proj_bias": "bias", "bias_k": "bias", "bias_v": "bias"},
        {f"{name}_proj_weight": ("out", "in") for name in ("q", "k", "v")}
        | {"in_proj_weight": ("piece:3*out", "in"), "in_proj_bias": ("piece:3*out",)},
        _sequence,
        unbatched_rank=2,
        primary=0,
    ),
    nn.RNN: _recurrent(1),
    nn.GRU: _recurrent(3),
    nn.LSTM: _recurrent(4),
    nn.RNNCell: _cell(1),
    nn.GRUCell: _cell(3),
    nn.LSTMCell: _cell(4),
    **{
        kind: Owner({}, {}, _sequence, unbatched_rank=2)
        for kind in (
            nn.Transformer,
            nn.TransformerEncoder,
            nn.TransformerDecoder,
            nn.TransformerEncoderLayer,
            nn.TransformerDecoderLayer,
        )
    },
    **{
        kind: Owner(output=CHANNEL_FIRST, unbatched_rank=positions + 1)
        for positions, kinds in {
            1: (nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.LPPool1d, nn.Dropout1d),
            2: (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LPPool2d),
            3: (nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.LPPool3d, nn.Dropout3d),
        }.items()
        for kind in kinds
    },
    nn.Dropout2d: Owner(output=CHANNEL_FIRST),  # of three axes the first is that of samples
}

_NOBODY = Owner()
_LAYER = re.compile(r"_l\d+(_reverse)?$")


def owner_of(kind: type) -> Owner:
    """What is known of a module class, or of the nearest class it inherits from."""
    for base in kind.__mro__:
        found = _TABLE.get(base) or _TABLE.get(base.__name__)
        if found is not None:
            return found
    return _NOBODY


def role_of(module: nn.Module, leaf: str) -> str | None:
    """The role of a parameter of a module, or None where nobody knows."""
    return owner_of(type(module)).roles.get(_LAYER.sub("", leaf))


def layout_of(module: nn.Module, leaf: str) -> Layout | None:
    """The native axes of a parameter of a module, or None where nobody knows."""
    layout = owner_of(type(module)).layouts.get(_LAYER.sub("", leaf))
    return layout(module) if callable(layout) else layout


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
