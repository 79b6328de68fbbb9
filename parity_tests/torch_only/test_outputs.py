"""What a module returns, and takes: nested outputs, positions and keys, inputs, packed and nested tensors."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, l1, l1_of, proven, task
from torchreg import L1, L2, Regularizer, activations


class Named(NamedTuple):
    """A tuple with names."""

    first: Tensor
    second: Tensor


@dataclass
class Plain:
    """A dataclass, which pytree does not open."""

    first: Tensor
    second: Tensor | None = None


@dataclass
class ModelOutput(OrderedDict[str, Any]):
    """As a Hugging Face output: an ordered dictionary of the fields that are not None, open to positions too."""

    first: Any = None
    second: Any = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                super().__setitem__(field.name, value)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else tuple(self.values())[key]


class Unregistered(Mapping[str, Tensor]):
    """A mapping that pytree has never heard of."""

    def __init__(self, **values: Tensor) -> None:
        self.held = values

    def __getitem__(self, key: str) -> Tensor:
        return self.held[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


class Wrap(nn.Module):
    """Wraps two arrays as it is told."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(x, x.tanh())


CONTAINERS = {
    "tuple": lambda a, b: (a, b),
    "list": lambda a, b: [a, b],
    "named tuple": Named,
    "dictionary": lambda a, b: {"first": a, "second": b},
    "dataclass": Plain,
    "ModelOutput": ModelOutput,
    "mapping": lambda a, b: Unregistered(first=a, second=b),
}


@covers("nested outputs", "torch")
@pytest.mark.parametrize("kind", CONTAINERS)
def test_index_takes_one_of_several_arrays(kind: str) -> None:
    """By key where there are keys, by position everywhere, from the end too."""
    model = nn.Sequential(nn.Linear(4, 4, dtype=torch.float64), Wrap(CONTAINERS[kind]))
    keyed = not isinstance(CONTAINERS[kind](X, X), tuple | list)
    for index in (1, -1, *(("second",) if keyed else ())):
        proven(model, l1_of("1", index=index), lambda: (task(model(X)), l1(model[0](X).tanh())), X)


@covers("several arrays and no index", "torch", "ValueError: give `index=`")
@pytest.mark.parametrize("kind", CONTAINERS)
def test_several_arrays_ask_for_an_index(kind: str) -> None:
    """Nothing is guessed; the places are listed."""
    places = "[0], [1]" if kind in ("tuple", "list", "named tuple") else "['first'], ['second']"
    expected = f"which has several arrays; got None. Floating arrays are at: {places}."
    with pytest.raises(ValueError, match=re.escape(expected)):
        l1_of("").apply(Wrap(CONTAINERS[kind]), X)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_an_array_beside_none_and_integers_needs_no_index(kind: str) -> None:
    """Only floating arrays are candidates, however deep they are."""
    model = Wrap(lambda x, _: CONTAINERS[kind]((x, torch.arange(3)), None))
    equal(l1_of("").apply(model, X)[1].total, l1(X))


def test_an_index_that_is_not_there_lists_the_keys() -> None:
    """A LookupError with what there is."""
    with pytest.raises(LookupError, match=re.escape("got 'third'. It has: ['first', 'second'].")):
        l1_of("", index="third").apply(Wrap(Plain), X)


@covers("an output without a floating array", "torch", "TypeError: `Tap`")
@pytest.mark.parametrize("value", [None, torch.arange(3), torch.ones(2, dtype=torch.complex64), object()])
def test_an_output_without_a_floating_array_is_an_error(value: Any) -> None:
    """Integers, complex numbers and opaque objects have no penalty, and the way out is named."""
    way_out = "Choose a module that has one, or name an array with Tap."
    with pytest.raises(TypeError, match=f"the output of '' must be a dense floating array.*{way_out}"):
        l1_of("").apply(Wrap(lambda x, _: value), X)


@covers("a recurrent module", "torch")
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_primary_output_of_a_recurrent_module_is_its_sequence(kind: type[nn.Module]) -> None:
    """The states are left out; the sample axis is the second where ``batch_first`` is off."""
    model = nn.Sequential(kind(4, 3, dtype=torch.float64))
    x = X.reshape(2, 3, 4)
    reg = Regularizer(L1(1.0).on(activations("0")))
    proven(model, reg, lambda: (task(model(x)), l1(model(x)[0]) / 3), x)


@pytest.mark.parametrize("index", [0, -2])
def test_the_primary_output_keeps_its_axes_however_it_is_named(index: int) -> None:
    """Its position counted from either end, and an input by position or by keyword: samples are the second axis."""
    model, x = nn.GRU(4, 3, dtype=torch.float64), X.reshape(2, 3, 4)
    equal(Regularizer(L1(1.0).on(activations("", index=index))).apply(model, x)[1].total, l1(model(x)[0]) / 3)
    reg = Regularizer(L1(1.0).on(activations("", of="input", index=0)))
    equal(reg.apply(model, x)[1].total, l1(x) / 3)
    reg = Regularizer(L1(1.0).on(activations("", of="input", index="input")))
    equal(reg.apply(model, input=x)[1].total, l1(x) / 3)


def test_another_output_of_a_recurrent_module_has_axes_of_its_own() -> None:
    """Of the last states nobody knows the second axis: the first is taken for samples, as of any array."""
    model, x = nn.GRU(4, 3, dtype=torch.float64), X.reshape(2, 3, 4)
    equal(Regularizer(L1(1.0).on(activations("", index=1))).apply(model, x)[1].total, l1(model(x)[1]))


def test_an_array_beside_a_number_keeps_the_axes_of_its_module() -> None:
    """That of a linear layer has no samples where its input has none."""

    class Pair(nn.Linear):
        def forward(self, x: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().forward(x), 3

    model = Pair(4, 3, dtype=torch.float64)
    equal(l1_of("").apply(model, X[0, :4])[1].total, l1(model(X[0, :4])[0]))


def test_every_part_of_a_sum_has_its_coefficient() -> None:
    """Also 1 and 0; each part is divided by the samples."""
    model = nn.Sequential(nn.Linear(4, 3, dtype=torch.float64))
    penalty = 2.0 * L1(1.0) + 0.0 * L2(1.0) + L2(0.5)
    out, penalties = Regularizer(penalty.on(activations("0"))).apply(model, X[:2, :4])
    equal(penalties.total, (2.0 * l1(out) + 0.5 * (out**2).sum()) / 2)


@pytest.mark.parametrize(("per", "count"), [("example", 1), ("position", 1), ("element", 4)])
def test_one_sample_is_divided_by_what_it_has(per: Any, count: int) -> None:
    """One alone, and one that a mask leaves; none has the penalty 0."""
    layout, x = ("sample", "p0", "feature"), X[:2, None, :4]
    target = activations("", per=per, layout=layout, mask="keep")
    reg = Regularizer(L1(1.0).on(target))
    equal(reg.at(masks={"keep": [True, False]}).apply(nn.Identity(), x)[1].total, l1(x[:1]) / count)
    equal(reg.at(masks={"keep": [True]}).apply(nn.Identity(), x[:1])[1].total, l1(x[:1]) / count)
    bare = Regularizer(L1(1.0).on(activations("", per=per, layout=layout)))
    equal(bare.apply(nn.Identity(), x[:1])[1].total, l1(x[:1]) / count)
    equal(bare.apply(nn.Identity(), x[:0])[1].total, l1(x[:0]))


@covers("attention without weights", "torch")
@pytest.mark.parametrize("need_weights", [True, False])
def test_the_primary_output_of_attention_is_its_result(need_weights: bool) -> None:
    """With the weights and with None in their place."""
    model = nn.MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64)
    x = X.reshape(2, 3, 4)
    wanted = l1(model(x, x, x)[0])
    equal(l1_of("").apply(model, x, x, x, need_weights=need_weights)[1].total, wanted)


@covers('`of="input"`', "torch")
def test_the_input_is_taken_before_the_module_overwrites_it() -> None:
    """``ReLU(inplace=True)`` turns its own input into its output."""
    model = Net(nn.ReLU(inplace=True))
    proven(model, l1_of("act", of="input"), lambda: (task(model(X)), l1(model.a(X))), X)


def test_inputs_are_found_by_position_and_by_name() -> None:
    """A keyword has its name; several floating inputs ask for an index; a position never means a keyword."""
    model = nn.Bilinear(4, 4, 2, dtype=torch.float64)
    wanted = l1(X + 1)
    equal(l1_of("", of="input", index=1).apply(model, X, X + 1)[1].total, wanted)
    equal(l1_of("", of="input", index="input2").apply(model, X, input2=X + 1)[1].total, wanted)
    with pytest.raises(ValueError, match=re.escape("Floating arrays are at: [0], ['input2'].")):
        l1_of("", of="input").apply(model, X, input2=X)
    with pytest.raises(LookupError, match=re.escape("It has: [0, 'input2'].")):
        l1_of("", of="input", index=1).apply(model, X, input2=X)


@covers("a packed sequence", "torch", "ValueError: state `layout=`")
def test_a_packed_sequence_asks_for_a_layout() -> None:
    """Its first axis joins samples and times, so that nobody knows how many samples there are."""
    model = nn.LSTM(4, 3, dtype=torch.float64)
    packed = pack_padded_sequence(X.reshape(3, 2, 4), torch.tensor([3, 2]))
    with pytest.raises(ValueError, match="layout must be stated for the packed output of ''"):
        l1_of("").apply(model, packed)
    reg = l1_of("", layout=("sample", "feature"))
    output, penalties = reg.apply(model, packed)
    equal(penalties.total, l1(output[0].data))


@covers("a nested tensor", "torch", "TypeError: pad it and name a mask")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_a_nested_tensor_is_refused() -> None:
    """PyTorch's encoder makes them by itself from a padding mask where it needs no gradient."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 1).eval()
    mask = torch.tensor([[False, False, True], [False, False, False]])
    expected = (
        "activations: the output of 'layers.0' must be padded; got 'a nested tensor'. "
        "Pass padded tensors and name a mask=, or build the module with enable_nested_tensor=False."
    )
    with torch.no_grad(), pytest.raises(TypeError, match=re.escape(expected)):
        l1_of("layers.0").apply(encoder, torch.ones(2, 3, 4), src_key_padding_mask=mask)
