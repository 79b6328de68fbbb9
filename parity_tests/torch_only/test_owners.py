"""What the table of owners knows of PyTorch's modules, and is taught, seen through penalties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from torchreg import L1, GroupLasso, L2Norm, Regularizer, activations, owners, params, register_owner


class Calls(nn.Module):
    """A module that is called with one array in every place."""

    def __init__(self, inner: nn.Module, places: int = 1) -> None:
        super().__init__()
        self.inner, self.places = inner.eval(), places

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(*[x] * self.places)


def spread(kinds: tuple[str, ...], *arguments: int) -> list[tuple[str, Callable[[], Calls], tuple[int, ...], int]]:
    """Modules over 1, 2 and 3 positions, whose arrays without a sample axis have the channels first."""
    return [
        (f"{kind}{n}d", lambda kind=kind, n=n: Calls(getattr(nn, f"{kind}{n}d")(*arguments)), (2, *(5,) * n), 0)
        for kind in kinds
        for n in (1, 2, 3)
    ]


def layer(kind: Any) -> Calls:
    """A layer of a transformer; a decoder's takes a memory too."""
    made = kind(4, 2, 8, batch_first=False)
    return Calls(made, 2 if kind is nn.TransformerDecoderLayer else 1)


def stack(outer: Any, kind: Any) -> Calls:
    """A stack of such layers."""
    made = outer(kind(4, 2, 8), 1, **({"enable_nested_tensor": False} if outer is nn.TransformerEncoder else {}))
    return Calls(made, 2 if kind is nn.TransformerDecoderLayer else 1)


# The module, an array without a sample axis, and the place of that axis where there is one.
UNBATCHED = [
    *spread(("Conv", "ConvTranspose"), 2, 3, 2),
    *spread(("MaxPool", "AvgPool"), 2),
    *spread(("AdaptiveAvgPool", "AdaptiveMaxPool"), 2),
    *spread(("LPPool",), 2, 2),
    *(case for case in spread(("Dropout",)) if case[0] != "Dropout2d"),
    *spread(("InstanceNorm",), 2),
    ("Linear", lambda: Calls(nn.Linear(4, 3)), (4,), 0),
    *((kind, lambda kind=kind: Calls(getattr(nn, kind)(4, 3)), (4,), 0) for kind in ("RNNCell", "GRUCell", "LSTMCell")),
    *((kind, lambda kind=kind: Calls(getattr(nn, kind)(4, 3)), (5, 4), 1) for kind in ("RNN", "GRU", "LSTM")),
    ("RNN, batch first", lambda: Calls(nn.RNN(4, 3, batch_first=True)), (5, 4), 0),
    ("MultiheadAttention", lambda: Calls(nn.MultiheadAttention(4, 2), 3), (5, 4), 1),
    ("Transformer", lambda: Calls(nn.Transformer(4, 2, 1, 1, 8), 2), (5, 4), 1),
    ("TransformerEncoderLayer", lambda: layer(nn.TransformerEncoderLayer), (5, 4), 1),
    ("TransformerDecoderLayer", lambda: layer(nn.TransformerDecoderLayer), (5, 4), 1),
    ("TransformerEncoder", lambda: stack(nn.TransformerEncoder, nn.TransformerEncoderLayer), (5, 4), 1),
    ("TransformerDecoder", lambda: stack(nn.TransformerDecoder, nn.TransformerDecoderLayer), (5, 4), 1),
]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")  # of a layer whose batch is not first
@pytest.mark.parametrize(("make", "shape", "sample"), [case[1:] for case in UNBATCHED], ids=[c[0] for c in UNBATCHED])
def test_an_output_without_samples_is_one_example(
    make: Callable[[], Calls], shape: tuple[int, ...], sample: int
) -> None:
    """Its penalty is not divided; that of two equal samples is divided by two."""
    torch.manual_seed(0)
    model, x = make().double(), torch.randn(shape, dtype=torch.float64)
    reg = Regularizer(L1(1.0).on(activations("inner"), name="one"))
    output, alone = reg.apply(model, x)
    first = output[0] if isinstance(output, tuple) else output
    torch.testing.assert_close(alone.total, first.abs().sum(), rtol=1e-12, atol=0)
    both = reg.apply(model, torch.stack([x, x], dim=sample))[1]
    torch.testing.assert_close(both.total, alone.total, rtol=1e-12, atol=0)


@pytest.mark.filterwarnings("ignore:dropout2d. Received a 3D input:UserWarning")
def test_three_axes_of_a_dropout2d_have_samples() -> None:
    """PyTorch takes them so: samples, channels and one position."""
    x = torch.randn(2, 3, 5)
    total = Regularizer(L1(1.0).on(activations("inner"))).apply(Calls(nn.Dropout2d()), x)[1].total
    torch.testing.assert_close(total, x.abs().sum() / 2)


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4, "RNNCell": 1, "GRUCell": 3, "LSTMCell": 4}


@pytest.mark.parametrize("kind", GATES)
def test_every_gate_is_a_piece(kind: str) -> None:
    """Of weights and of biases; a projection has none."""
    more = {"proj_size": 2} if kind == "LSTM" else {}
    module = getattr(nn, kind)(4, 3, **more)
    for name, parameter in module.named_parameters():
        gates = 1 if name.startswith("weight_hr") else GATES[kind]
        due = sum(piece.norm() for piece in parameter.detach().chunk(gates))
        got = Regularizer(L2Norm(1.0).on(params(name))).attach(module).penalty()
        torch.testing.assert_close(got.detach(), due)


class Taught(nn.Module):
    """A module that the table has never heard of."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.gain = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"aside": x, "main": x.abs()}


@pytest.mark.parametrize("kind", [Taught, "Taught", nn.Module])
def test_what_it_is_taught(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By class, by name or by a base class: roles, pieces of a parameter, and which output has which axes."""
    monkeypatch.setattr(owners, "_TABLE", dict(owners._TABLE))
    model, x = nn.Sequential(Taught()), torch.randn(2, 3, 5)
    register_owner(
        kind,
        roles={"matrix": "kernel", "gain": "scale"},
        layouts={"matrix": ("piece:2*out", "in")},
        output=("sample", "feature", "..."),
        primary="main",
    )
    reg = Regularizer(
        L2Norm(1.0).on(params(role="kernel"), name="kernel"),
        L1(1.0).on(params(role="scale"), name="scale"),
        L1(1.0).on(activations("0", per="position"), name="output"),
    )
    terms = reg.apply(model, x)[1].terms
    matrix, gain = (parameter.detach() for parameter in model.parameters())
    torch.testing.assert_close(terms["kernel"].detach(), matrix[:2].norm() + matrix[2:].norm())
    torch.testing.assert_close(terms["scale"].detach(), gain.abs().sum())
    torch.testing.assert_close(terms["output"], x.abs().sum() / 10)


def test_an_array_that_nobody_knows_has_no_axes_but_one() -> None:
    """A vector is a row of outputs; what a matrix is must be said."""
    model = Taught()
    groups = GroupLasso(1.0)
    total = Regularizer(groups.on(params("gain"))).attach(model).penalty()
    torch.testing.assert_close(total.detach(), model.gain.detach().abs().sum())
    with pytest.raises(ValueError, match="layout must be stated, because 'out'"):
        Regularizer(groups.on(params("matrix"))).attach(model).penalty()
    total = Regularizer(groups.on(params("matrix", layout=("in", "out")))).attach(model).penalty()
    torch.testing.assert_close(total.detach(), 2.0 * model.matrix.detach().norm(dim=0).sum())


class Doubled(nn.Module):
    """A parametrization."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_a_weight_that_is_computed() -> None:
    """Its original has the axes and the role of what is computed, which is read where it came after the tape."""
    model = nn.Sequential(nn.Linear(3, 2))
    late = Regularizer(L1(1.0).on(params("0.weight"))).attach(model)
    nn.utils.parametrize.register_parametrization(model[0], "weight", Doubled())
    weight = dict(model.named_parameters())["0.parametrizations.weight.original"].detach()
    torch.testing.assert_close(late.penalty().detach(), 2 * weight.abs().sum())
    reg = Regularizer(GroupLasso(1.0).on(params(role="kernel")))
    torch.testing.assert_close(reg.attach(model).penalty().detach(), 3**0.5 * weight.norm(dim=1).sum())
    several = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    with pytest.raises(
        ValueError, match="layout must be stated, because 'out'"
    ):  # a length and a direction are no kernels
        Regularizer(GroupLasso(1.0).on(params("0.parametrizations.weight.original1"))).attach(several).penalty()


def test_a_joined_array_that_is_not_floating_is_refused() -> None:
    """Numbers would otherwise be made of it in silence."""
    model = nn.ParameterDict({"whole": nn.Parameter(torch.arange(3), requires_grad=False), "part": torch.ones(2)})
    with pytest.raises(TypeError, match="'whole' must be a dense floating array; got 'int64'"):
        Regularizer(L2Norm(1.0).on(params("**", joint=True))).attach(model).penalty()
