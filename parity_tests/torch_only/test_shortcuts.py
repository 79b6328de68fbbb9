"""What is remembered, skipped or done at once on the way of an array to a number: as on the long way."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity_tests.torch_only.common import X, equal, gradients, l1
from torchreg import L1, L2, ElasticNet, Penalty, PseudoHuber, Regularizer, activations, measure, params
from torchreg._arrays import pieces
from torchreg._spec.layout import fitting, move, stacked
from torchreg.result import FEW, summed

WAYS = [
    ("params", None, ("out", "in", "..."), [(2, 3), (4, 5), (2, 3, 4, 5), (6, 2, 3, 4)]),
    ("params", None, ("in", "out"), [(2, 3), (5, 2, 3), (7, 4, 2, 3)]),
    ("params", ("piece", "in", "out"), None, [(2, 3, 4), (3, 2, 5)]),
    ("params", ("out", "in", "in"), ("out", "in", "..."), [(2, 3, 4), (3, 1, 2)]),
    ("params", None, ("piece:4*out", "in"), [(8, 3), (12, 3), (4, 1)]),
    ("activations", None, ("sample", "feature", "..."), [(2, 3), (4, 3), (2, 3, 4, 5), (5, 4, 3, 2)]),
    ("activations", ("p0", "sample", "feature"), ("sample", "..."), [(2, 3, 4), (4, 3, 2)]),
    ("activations", None, ("sample", "...", "feature"), [(2, 3), (2, 3, 4)]),
    ("activations", ("sample:2*p0", "feature"), None, [(4, 3), (6, 3)]),
]


@pytest.mark.parametrize(("where", "stated", "known", "shapes"), WAYS, ids=str)
def test_the_way_of_a_layout_is_that_of_each_shape(where: str, stated: Any, known: Any, shapes: list[Any]) -> None:
    """The move that is remembered by rank, asked for each shape twice, against the move made for the shape."""
    for shape in (*shapes, *shapes):
        x = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
        layout: Any = stated or (stacked if where == "params" else fitting)(known, len(shape))
        how = move(where, layout, shape)
        axes, found = measure._canonical(where, stated, known, x)
        assert axes == how.axes
        due = pieces(x, how)
        assert [piece.tolist() for piece in found] == [piece.tolist() for piece in due]
        assert [piece.tolist() for piece in found] == [piece.tolist() for piece in _by_index(x, how)]


def _by_index(x: Tensor, how: Any) -> list[Tensor]:
    """The pieces by one gather: every native place, counted in canonical order."""
    viewed = x.reshape(how.shape or x.shape)
    order = torch.arange(x.numel()).reshape(viewed.shape).permute(how.permutation).reshape(-1)
    sizes = [math.prod([viewed.shape[axis] for axis in merged]) for merged in how.sources]
    return list(viewed.reshape(-1)[order].reshape(-1, *sizes).unbind(0))


def test_a_layout_that_does_not_fit_is_refused_every_time() -> None:
    """What is remembered is no error."""
    for _ in range(2):
        with pytest.raises(ValueError, match="params: layout must be one that names the 3 axes of the array"):
            measure._canonical("params", ("out", "in"), None, torch.ones(2, 3, 4))
        with pytest.raises(ValueError, match="divides the axis of size 7"):
            measure._canonical("params", ("piece:4*out", "in"), None, torch.ones(7, 3))


@pytest.mark.parametrize("count", [1, 2, FEW - 1, FEW, FEW + 1, 100])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_sum_of_few_and_of_many(count: int, mixed: bool) -> None:
    """Value, gradients and dtype, also where terms in two dtypes are added."""
    wide = [torch.tensor(1.0 / (i + 3), dtype=torch.float64, requires_grad=True) for i in range(count)]
    values = [value.float() if mixed and i % 2 else value for i, value in enumerate(wide)]
    total = summed(values)
    assert total.dtype == torch.float64
    torch.testing.assert_close(total.item(), math.fsum(value.item() for value in values), rtol=1e-14, atol=0)
    assert [gradient.item() for gradient in torch.autograd.grad(total, wide)] == [1.0] * count


def test_a_part_that_was_heard_in_a_transform_has_its_gradient() -> None:
    """Parts and total, once the transform that ran the layer is over."""

    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4, dtype=torch.float64)

        def forward(self, x: Tensor) -> Tensor:
            return torch.func.grad(lambda v: self.layer(v).sum())(x)

    model = Inside()
    target = activations("layer", per="batch", layout=("sample", "feature"))
    with Regularizer(L1(1.0).on(target, name="s")).attach(model) as tape:
        for part in (lambda p: p.layers["s"]["layer"], lambda p: p.terms["s"], lambda p: p.total):
            model(X)
            equal(gradients(model, part(tape.penalties())), gradients(model, l1(model.layer(X))))


def test_a_mean_over_one_piece_is_the_penalty() -> None:
    """And over several it is their mean."""
    model = nn.LSTM(2, 3, dtype=torch.float64)
    for target, by in ((params("weight_hh_l0"), 1.0), (params("weight_hh_l0", combine="mean"), 0.25)):
        got = Regularizer(L1(1.0).on(target)).attach(model).penalty()
        equal(got, by * l1(model.get_parameter("weight_hh_l0")))
    single = nn.Linear(2, 3, dtype=torch.float64)
    got = Regularizer(L1(1.0).on(params("weight", combine="mean"))).attach(single).penalty()
    equal(got, l1(single.weight))


PENALTIES = [
    L1(0.3),
    L2(0.7),
    L1(0.0),
    0.5 * L1(0.3),
    ElasticNet(0.3, 0.7),
    L1(0.3) + L2(0.7),
    2.0 * (L1(0.3) + ElasticNet(0.1, 0.2)),
    L1(0.3) + PseudoHuber(0.7),
]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("per", "size"), [("batch", 1), ("example", 4), ("position", 4 * 5 * 6), ("element", 720)])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_coefficients_are_multiplied_once(penalty: Penalty, per: Any, size: int, masked: bool) -> None:
    """In total, terms and layers, by schedule and weight too, whether or not the sum is taken apart from them; the
    output of a convolution is measured as it lies in memory, and its axes still count.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1, dtype=torch.float64), nn.Tanh())
    x = torch.randn(4, 2, 5, 6, dtype=torch.float64)
    target = activations("0", per=per, mask="m" if masked else None)
    reg = Regularizer(penalty.on(target, name="one", schedule=lambda step: 0.5 * step))
    bound = reg.at(step=3, weights={"one": 4.0}, masks={"m": torch.ones(4)} if masked else None)
    for part in (lambda p: p.total, lambda p: p.terms["one"], lambda p: p.layers["one"]["0"]):
        output, penalties = bound.apply(model, x)
        due = 6.0 / size * penalty(model[0](x).movedim(1, -1), axes=("sample", "p0", "p1", "feature"))
        equal(part(penalties), due)
        equal(gradients(model, output.sum() + part(penalties)), gradients(model, model(x).sum() + due))
