"""The ten snippets that people paste into PyTorch, and the lines that replace them: value and every gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import absent
from parity_tests.recipes.figures import TOLERANCE

if _reason := absent("torch"):
    pytest.skip(_reason, allow_module_level=True)

import torch
from torch import nn

from torchreg import (
    L1,
    L2,
    ElasticNet,
    GroupLasso,
    L2Norm,
    Orthogonal,
    Penalize,
    Regularizer,
    SparseGroupLasso,
    Tap,
    activations,
    inject,
    params,
)


class Net(nn.Module):
    """Two linear layers behind one ReLU module, which is called twice; it can return what is hidden."""

    def __init__(self, penalize: Callable[[], nn.Module] = nn.Identity) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear1, self.norm, self.linear2 = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4)
        self.relu: nn.Module = nn.ReLU()
        self.penalize: nn.Module = penalize()
        self.double()

    def forward(self, x: Any, hidden: bool = False) -> Any:
        first = self.penalize(self.relu(self.norm(self.linear1(x))))
        second = self.relu(self.linear2(first))
        return (second, first) if hidden else second


X = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def equal(model: nn.Module, by_hand: Any, penalty: Any) -> None:
    """Both have one value, and one gradient with respect to every parameter."""
    named = dict(model.named_parameters())
    pairs = [
        torch.autograd.grad(v, list(named.values()), retain_graph=True, allow_unused=True) for v in (by_hand, penalty)
    ]
    assert abs(by_hand.item() - penalty.item()) <= TOLERANCE * abs(by_hand.item())
    assert any(expected is not None for expected in pairs[0])
    for name, expected, got in zip(named, *pairs, strict=True):
        due = torch.zeros_like(named[name]) if expected is None else expected
        have = torch.zeros_like(named[name]) if got is None else got
        assert (have - due).abs().max() <= TOLERANCE * max(due.abs().max().item(), by_hand.item()), name


def total(model: nn.Module, *terms: Any) -> Any:
    """The penalty of one pass."""
    return Regularizer(*terms).apply(model, X)[1].total


def test_1_hidden_layers_returned_from_forward() -> None:
    """The model is not edited to return what it penalises."""
    model = Net()
    output, first = model(X, hidden=True)
    by_hand = 0.1 * (first.abs().sum() + output.abs().sum()) / len(X)
    equal(model, by_hand, total(model, L1(0.1).on(activations("relu"))))


def test_2_a_hook_that_fills_a_list() -> None:
    """A shared ReLU is called twice, and both calls count; there is nothing to clear, and a second pass is the same."""
    model, caught = Net(), []
    handle = model.relu.register_forward_hook(lambda module, args, output: caught.append(output))
    model(X)
    handle.remove()
    by_hand = 0.1 * sum(output.abs().sum() for output in caught)
    for _ in range(2):
        equal(model, by_hand, total(model, L1(0.1).on(activations("relu", per="batch"))))


@pytest.mark.parametrize("size_average", [False, True])
def test_3_a_pass_through_module_that_changes_the_gradient(size_average: bool) -> None:
    """Forward is the identity, the loss never sees the value, backward adds λ·sign(x), over n with sizeAverage."""
    scale = 1 / (6 * 4) if size_average else 1.0
    model, plain = Net(lambda: Penalize(L1(0.1), scale=scale)), Net()
    output, hidden = plain(X, hidden=True)
    torch.testing.assert_close(model(X), output, rtol=0, atol=0)
    loss, with_penalty = model(X).sum(), output.sum() + 0.1 * scale * hidden.abs().sum()
    assert loss.item() == output.sum().item()
    for got, due in zip(
        torch.autograd.grad(loss, list(model.parameters())),
        torch.autograd.grad(with_penalty, list(plain.parameters())),
        strict=True,
    ):
        assert (got - due).abs().max() <= TOLERANCE * with_penalty.item()
    injected = inject(X.clone().requires_grad_(), L1(0.1), scale=scale)
    torch.testing.assert_close(injected, X, rtol=0, atol=0)
    value: Any = model.penalize.value
    assert abs(value.item() - 0.1 * hidden.abs().sum().item()) <= TOLERANCE * value.item()


def test_4_one_layer_under_l1_another_under_its_norm() -> None:
    """Weight and bias together; the 2-norm is joint and not squared."""
    model = Net()
    first, second = (torch.cat([p.flatten() for p in m.parameters()]) for m in (model.linear1, model.linear2))
    by_hand = 0.1 * torch.norm(first, 1) + 0.2 * torch.norm(second, 2)
    terms = L1(0.1).on(params("linear1.*")), L2Norm(0.2).on(params("linear2.*", joint=True))
    equal(model, by_hand, total(model, *terms))


def test_5_every_parameter() -> None:
    """Biases and gains too."""
    model = Net()
    by_hand = 0.1 * sum(p.abs().sum() for p in model.parameters())
    equal(model, by_hand, total(model, L1(0.1).on(params())))


def test_6_names_that_end_in_weight() -> None:
    """The habit takes the gain of the normalisation in; a role does not."""
    model = Net()
    by_hand = 0.1 * sum(p.abs().sum() for name, p in model.named_parameters() if name.endswith("weight"))
    equal(model, by_hand, total(model, L1(0.1).on(params("**.weight"))))
    kernels = 0.1 * (model.linear1.weight.abs().sum() + model.linear2.weight.abs().sum())
    equal(model, kernels, total(model, L1(0.1).on(params(role="kernel"))))


def rows(w: Any) -> Any:
    """The sum of the rows' norms."""
    return w.square().sum(dim=1).sqrt().sum()


@pytest.mark.parametrize(
    ("penalty", "by_hand"),
    [
        (L1(0.1), lambda w: 0.1 * w.abs().sum()),
        (L2(0.1), lambda w: 0.1 * w.square().sum()),
        (ElasticNet(0.1, 0.2), lambda w: 0.1 * w.abs().sum() + 0.2 * w.square().sum()),
        (GroupLasso(0.1), lambda w: 0.1 * w.shape[1] ** 0.5 * rows(w)),
        (SparseGroupLasso(0.1, alpha=0.3), lambda w: 0.07 * w.shape[1] ** 0.5 * rows(w) + 0.03 * w.abs().sum()),
    ],
    ids=["L1", "L2", "elastic net", "group lasso", "sparse group lasso"],
)
def test_7_a_wrapper_made_once_before_training(penalty: Any, by_hand: Callable[[Any], Any]) -> None:
    """The tape returns the penalty alone: the task loss is neither scaled nor changed in place."""
    model = Net()
    with Regularizer(penalty.on(params(role="kernel"))).attach(model) as tape:
        loss = model(X).sum()
        before = loss.item()
        equal(model, by_hand(model.linear1.weight) + by_hand(model.linear2.weight), tape.penalty())
    assert loss.item() == before


def test_8_orthogonal_filters() -> None:
    """The signed sum Σ(WWᵀ − I) is below 0 at W = 0 and 0 at a permutation of a reflection; the distance is neither."""
    torch.manual_seed(0)
    model = nn.Conv2d(2, 4, 3).double()
    w = model.weight.flatten(1)
    by_hand = 0.1 * (w @ w.T - torch.eye(4, dtype=w.dtype)).square().sum()
    reg = Regularizer(Orthogonal(0.1, side="out").on(params("weight")))
    equal(model, by_hand, reg.apply(model, torch.ones(1, 2, 5, 5, dtype=torch.float64))[1].total)
    zero = torch.zeros(4, 18, dtype=torch.float64)
    assert (zero @ zero.T - torch.eye(4)).sum() == -4
    assert Orthogonal(1.0, side="out")(zero) == 4


def test_9_one_layer_alone() -> None:
    """By name, by type, or by what is left out."""
    model = Net()
    by_hand = 0.1 * model.linear2.weight.square().sum()
    equal(model, by_hand, total(model, L2(0.1).on(params("linear2.weight"))))
    equal(model, by_hand, total(model, L2(0.1).on(params(role="kernel", exclude="linear1.*"))))
    hidden = 0.1 * model(X).abs().sum() / len(X)
    equal(model, hidden, total(model, L1(0.1).on(activations(""))))


class Functional(nn.Module):
    """A list of layers, a functional relu that a Tap names, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)]).double()
        self.taps = nn.ModuleList([Tap() for _ in range(3)])

    def forward(self, x: Any) -> Any:
        for layer, tap in zip(self.layers, self.taps, strict=True):
            x = nn.functional.dropout(tap(nn.functional.relu(layer(x))), p=0.5, training=self.training)
        return x


def test_10_one_object_before_training_one_term_in_the_loss() -> None:
    """Over three steps of training, with dropout, the loss is that of the sums by hand."""
    model, twin = Functional(), Functional()
    tape = Regularizer(L1(0.1).on(activations("taps.*")), L2(0.01).on(params(role="kernel"))).attach(model)
    steps = [torch.optim.SGD(m.parameters(), lr=0.1) for m in (model, twin)]
    for step in range(3):
        torch.manual_seed(step)
        loss = model(X).square().mean() + tape.penalty()
        torch.manual_seed(step)
        by_hand, x = 0.0, X
        layer: Any
        for layer in twin.layers:
            x = nn.functional.relu(layer(x))
            by_hand = by_hand + 0.1 * x.abs().sum() / len(X) + 0.01 * layer.weight.square().sum()
            x = nn.functional.dropout(x, p=0.5)
        by_hand = x.square().mean() + by_hand
        assert abs(loss.item() - by_hand.item()) <= TOLERANCE * by_hand.item()
        for optimizer, value in zip(steps, (loss, by_hand), strict=True):
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=0, atol=TOLERANCE)


def test_10_a_function_that_nobody_named_is_an_error() -> None:
    """A module that never ran is told, with the way out."""

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.relu = nn.Linear(3, 3).double(), nn.ReLU()

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.linear(x))

    with pytest.raises(RuntimeError, match=r"torchreg\.Tap"):
        total(Bare(), L1(0.1).on(activations("relu")))
