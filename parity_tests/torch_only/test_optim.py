"""Penalty gradients at an optimizer's step, where PyTorch has ways of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from torchreg import L1, L2, ElasticNet, GroupLasso, L2Norm, Regularizer, add_penalty_gradients, params

REG = Regularizer(
    L1(0.3).on(params("0.weight")),
    GroupLasso(0.2).on(params("2.weight")),
    L2(0.1).on(params("**.bias")),
)


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """A small network, always the same."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)


def task(model: nn.Module) -> torch.Tensor:
    """A loss."""
    dtype = next(model.parameters()).dtype
    return (model(torch.linspace(-1, 1, 15, dtype=dtype).reshape(5, 3)) ** 2).sum()


def loss_way(model: nn.Module, reg: Regularizer = REG) -> dict[str, torch.Tensor]:
    """The gradients of the task with the penalty in its loss."""
    model.zero_grad()
    (task(model) + reg.apply(model, torch.zeros(1, 3, dtype=next(model.parameters()).dtype))[1].total).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_gradients(model: nn.Module, due: dict[str, torch.Tensor]) -> None:
    """What is in ``.grad`` is what is due, for every parameter."""
    assert {name for name, p in model.named_parameters() if p.grad is not None} == due.keys()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, due.get(name), rtol=1e-13, atol=1e-15)


def slope(parameter: object) -> torch.Tensor:
    """The gradient of a parameter that has one."""
    gradient = getattr(parameter, "grad", None)
    assert isinstance(gradient, torch.Tensor)
    return gradient


def weight_sign(model: nn.Sequential) -> torch.Tensor:
    """The signs of the first weight."""
    return model[0].get_parameter("weight").detach().sign()


def idle(model: nn.Module) -> torch.optim.SGD:
    """An optimizer whose steps leave the parameters where they are."""
    return torch.optim.SGD(model.parameters(), lr=0.0)


def test_gradients_are_those_of_the_loss_way() -> None:
    """For a penalty in closed form, one by autograd, and several on many parameters; twice in a row."""
    model = network()
    due, optimizer = loss_way(model), idle(model)
    handle = add_penalty_gradients(optimizer, REG, model)
    for _ in range(2):
        optimizer.zero_grad()
        task(model).backward()
        optimizer.step()
        assert_gradients(model, due)
    assert handle.penalties is not None
    torch.testing.assert_close(handle.penalties.total, REG.apply(model, torch.zeros(1, 3).double())[1].total)
    assert not handle.penalties.total.requires_grad


def test_a_parameter_that_the_task_leaves_out_gets_its_gradient() -> None:
    """As with the loss, ``.grad`` appears; a frozen parameter has none and still counts in the value."""
    model = network()
    model[2].requires_grad_(False)
    optimizer = idle(model)
    handle = add_penalty_gradients(optimizer, REG, model)
    optimizer.step()
    torch.testing.assert_close(model[0].weight.grad, 0.3 * weight_sign(model))
    torch.testing.assert_close(model[0].bias.grad, 0.2 * model[0].get_parameter("bias").detach())
    assert model[2].weight.grad is None
    told = handle.penalties
    assert told is not None
    torch.testing.assert_close(told.total, REG.apply(model, torch.zeros(1, 3).double())[1].total.detach())


def test_two_optimizers_share_a_regularizer_without_counting_twice() -> None:
    """Each adds gradients to the parameters that it holds, a joint penalty its share to each."""
    model, joint = network(), Regularizer(L2Norm(0.3).on(params("*.weight", joint=True)), L1(0.1).on(params("**")))
    due = loss_way(model, joint)
    model.zero_grad()
    task(model).backward()
    for layer in (model[0], model[2]):
        optimizer = idle(layer)
        add_penalty_gradients(optimizer, joint, model)
        optimizer.step()
    assert_gradients(model, due)


def test_an_optimizer_that_holds_nothing_of_a_term_is_an_error() -> None:
    """Nothing of the term would ever be trained."""
    model = network()
    optimizer = torch.optim.SGD(model[2].parameters())
    with pytest.raises(ValueError, match="optimizer must be one that holds a parameter of the term 'L1'; got 'SGD'"):
        add_penalty_gradients(optimizer, REG, model)
    assert not optimizer._optimizer_step_pre_hooks


def test_a_closure_is_an_error() -> None:
    """It computes the gradients anew, inside the step, when the penalty's have been added: they would be lost."""
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters())
    add_penalty_gradients(optimizer, REG, model)
    with pytest.raises(RuntimeError, match=r"closure must be None; got 'a closure'\. Its gradients"):
        optimizer.step(lambda: task(model))
    assert all(p.grad is None for p in model.parameters())


def test_removed_it_adds_nothing() -> None:
    """The optimizer is as it was."""
    model = network()
    optimizer = idle(model)
    with add_penalty_gradients(optimizer, REG, model):
        pass
    task(model).backward()
    before = [slope(p).clone() for p in model.parameters()]
    optimizer.step()
    assert all(torch.equal(slope(p), due) for p, due in zip(model.parameters(), before, strict=True))


def test_scaled_gradients_are_unscaled_first() -> None:
    """GradScaler: the penalty joins the gradients after they were unscaled, and is not part of what overflows."""
    model = network(torch.float32)
    due, optimizer = loss_way(model), idle(model)
    add_penalty_gradients(optimizer, REG, model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer.zero_grad()
    scaler.scale(task(model)).backward()
    scaler.step(optimizer)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, due[name], rtol=1e-5, atol=1e-6)


def test_an_optimizer_that_unscales_by_itself_is_given_the_scale() -> None:
    """A fused optimizer meets scaled gradients, with the scale beside them: the penalty is scaled alike."""
    model = network(torch.float32)
    due = loss_way(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, fused=True)
    add_penalty_gradients(optimizer, REG, model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer.zero_grad()
    scaler.scale(task(model)).backward()
    scaler.step(optimizer)
    for name, p in model.named_parameters():
        first = optimizer.state[p]["exp_avg"] / 0.1  # the first moment after one step: a tenth of what it was given
        torch.testing.assert_close(first, due[name], rtol=1e-4, atol=1e-5)


def test_clipping_before_the_step_has_not_seen_the_penalty() -> None:
    """The order that the documentation states: the task's gradient is clipped, the penalty's is added whole."""
    model = network()
    optimizer = idle(model)
    add_penalty_gradients(optimizer, REG, model)
    task(model).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1e-12)
    optimizer.step()
    torch.testing.assert_close(model[0].weight.grad, 0.3 * weight_sign(model), rtol=0, atol=1e-9)


def test_a_weight_scales_what_autograd_adds() -> None:
    """As it does in the loss."""
    model = network()
    reg = Regularizer(GroupLasso(0.2).on(params("2.weight"), name="groups")).at(weights={"groups": 3.0})
    weight = model[2].get_parameter("weight")
    (due,) = torch.autograd.grad(reg.apply(model, torch.zeros(1, 3).double())[1].total, weight)
    optimizer = idle(model)
    add_penalty_gradients(optimizer, reg, model)
    optimizer.step()
    torch.testing.assert_close(slope(weight), due, rtol=1e-14, atol=0)


def test_counted_steps_can_be_set_for_a_schedule() -> None:
    """A run that goes on from a checkpoint tells the handle where it is."""
    model = network()
    reg = Regularizer(L1(1.0).on(params("0.weight"), schedule=lambda step: float(step)))
    optimizer = idle(model)
    handle = add_penalty_gradients(optimizer, reg, model)
    handle.steps = 7
    optimizer.step()
    torch.testing.assert_close(model[0].weight.grad, 7.0 * weight_sign(model))
    assert handle.steps == 8


def test_what_many_small_parameters_came_to() -> None:
    """Every path once, in the order of the model, as the loss way tells it; what is told stays when weights move on."""
    model = network()
    reg = Regularizer(
        ElasticNet(0.3, 0.2).on(params("**"), name="all", schedule=lambda step: 2.0 + step),
        L1(0.1).on(params("**", role="kernel"), name="kernels"),
        L2Norm(0.3).on(params("**", joint=True), name="joint"),
        L2Norm(0.3).on(params("0.*"), name="first"),
    )
    due = reg.at(step=0).apply(model, torch.zeros(1, 3).double())[1]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    handle = add_penalty_gradients(optimizer, reg, model)
    assert handle.penalty is handle.penalties is None
    optimizer.step()
    told = handle.penalties
    assert told is not None
    assert told is handle.penalties
    torch.testing.assert_close(handle.penalty, told.total, rtol=0, atol=0)
    torch.testing.assert_close((told.total, told.terms), (due.total.detach(), detached(due.terms)), rtol=1e-13, atol=0)
    for name, found in due.layers.items():
        assert list(told.layers[name]) == list(found)
        torch.testing.assert_close(told.layers[name], detached(found), rtol=1e-13, atol=0)


def detached(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Values without a graph."""
    return {name: value.detach() for name, value in found.items()}
