"""Penalty gradients at an optimizer's step, whatever the parameters and their gradients are like."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from parity_tests.torch_only.test_optim import assert_gradients, idle, loss_way, network, task
from torchreg import L1, ElasticNet, Regularizer, add_penalty_gradients, params
from torchreg.closed import ClosedForm
from torchreg.lists import are_addable
from torchreg.walk import parameters


def test_a_parametrised_weight_gets_its_gradient_through_the_parametrisation() -> None:
    """The penalty of what is computed reaches what is trained."""
    model = network()
    nn.utils.parametrizations.weight_norm(model[0])
    reg = Regularizer(ElasticNet(0.1, 0.2).on(params("0.parametrizations.weight.original*")))
    due, optimizer = loss_way(model, reg), idle(model)
    add_penalty_gradients(optimizer, reg, model)
    optimizer.zero_grad()
    task(model).backward()
    optimizer.step()
    assert_gradients(model, due)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.grad.copy_(p.grad),
        lambda p: setattr(p, "grad", p.grad.t().contiguous().t()),
        lambda p: setattr(p, "grad", None),
    ],
    ids=["contiguous", "strided", "absent"],
)
def test_whatever_the_gradient_looks_like(change: Callable[[nn.Parameter], object]) -> None:
    """A contiguous gradient is added to in place, any other is taken by autograd's way, with the same numbers."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(40, 5, dtype=torch.float64))
    model = nn.Module()
    model.weight = weight
    weight.grad = torch.ones_like(weight)
    change(weight)
    before = torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
    optimizer = torch.optim.SGD([weight], lr=0.0)
    add_penalty_gradients(optimizer, Regularizer(ElasticNet(0.1, 0.2).on(params("weight"))), model)
    optimizer.step()
    w = weight.detach()
    torch.testing.assert_close(weight.grad, before + 0.1 * w.sign() + 0.4 * w, rtol=1e-14, atol=0)


def test_what_can_be_added_to_in_place() -> None:
    """Arrays of PyTorch itself, in the order of memory; not all that a subclass may mean."""

    class Own(torch.Tensor):
        pass

    plain = [torch.ones(2, 3), nn.Parameter(torch.ones(4))]
    assert are_addable(plain)
    assert not are_addable([*plain, torch.ones(2, 3).t()])
    assert not are_addable([torch.ones(2, 3).as_subclass(Own), *plain])


def test_terms_on_one_parameter_without_a_gradient_all_add_to_it() -> None:
    """The first of them makes the gradient, the others add to that one."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    reg = Regularizer(L1(0.1).on(params("**"), name="one"), ElasticNet(0.2, 0.3).on(params("**"), name="other"))
    add_penalty_gradients(optimizer, reg, model)
    optimizer.step()
    for weight in model.parameters():
        due = 0.3 * weight.detach().sign() + 0.6 * weight.detach()
        torch.testing.assert_close(weight.grad, due, rtol=1e-14, atol=1e-15)


def test_a_long_array_in_another_memory_order_is_taken_by_autograd() -> None:
    """It cannot be read in pieces."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.randn(300, 500, dtype=torch.float64).t())
    optimizer = torch.optim.SGD([model.weight], lr=0.0)
    add_penalty_gradients(optimizer, Regularizer(L1(0.1).on(params("weight"))), model)
    optimizer.step()
    torch.testing.assert_close(model.weight.grad, 0.1 * model.weight.detach().sign(), rtol=1e-14, atol=0)


def test_parameters_whose_data_is_exchanged_between_steps() -> None:
    """What is kept from one step to the next follows their shapes and types: rows of one array, then of others."""
    torch.manual_seed(0)
    model = nn.ParameterList([torch.randn(4, 3) for _ in range(5)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    handle = add_penalty_gradients(optimizer, Regularizer(ElasticNet(0.1, 0.2).on(params("**"), name="net")), model)
    same, mixed, other = [(4, 3)] * 5, [(4, 3), (2, 6), (4, 3), (), (2, 6)], [(2, 6), (2, 6), (), (), (2, 6)]
    for shapes, dtype in ((same, torch.float32), (mixed, torch.float32), (other, torch.float32), (same, torch.float64)):
        for weight, shape in zip(model, shapes, strict=True):
            weight.grad, weight.data = None, torch.randn(shape, dtype=dtype)
        optimizer.step()
        for weight in model:
            w = weight.detach()
            torch.testing.assert_close(weight.grad, 0.1 * w.sign() + 0.4 * w)
        due = sum(0.1 * w.double().abs().sum() + 0.2 * w.double().square().sum() for w in map(torch.detach, model))
        assert handle.penalty is not None
        assert handle.penalties is not None
        torch.testing.assert_close(handle.penalty.double(), due, rtol=1e-6, atol=0)
        assert list(handle.penalties.layers["net"]) == [str(number) for number in range(5)]


def in_half(parameters: list[nn.Parameter]) -> None:
    """A gradient may have a type of its own where it is allowed one."""
    parameters[1].grad = None
    parameters[1].grad_dtype = torch.float16
    parameters[1].grad = torch.ones(4, 3, dtype=torch.float16)


@pytest.mark.parametrize(
    ("change", "ready"),
    [
        (lambda ps: None, True),
        (lambda ps: setattr(ps[1], "grad", None), True),
        (lambda ps: [setattr(p, "grad", None) for p in ps], True),
        (lambda ps: setattr(ps[1], "grad", ps[1].grad.t().contiguous().t()), False),
        (lambda ps: setattr(ps[1], "grad", ps[1].grad.to_sparse()), False),
        (lambda ps: setattr(ps[0], "data", ps[0].data.t().contiguous().t()), False),
        (in_half, False),
        (lambda ps: ps[1].requires_grad_(False), False),
    ],
    ids=["all", "some without", "none", "strided", "sparse", "strided parameter", "other type", "not trained"],
)
def test_when_the_closed_form_serves(change: Callable[[list[nn.Parameter]], object], ready: bool) -> None:
    """Where it does not, autograd gives the same numbers, slower."""
    model = nn.ParameterList([torch.randn(3, 2), torch.randn(4, 3)])
    for weight in model:
        weight.grad = torch.ones_like(weight)
    change(list(model))
    held = {id(weight): weight for weight in model if weight.requires_grad}
    assert ClosedForm(parameters(model), 0.1, None).ready(held) == ready
