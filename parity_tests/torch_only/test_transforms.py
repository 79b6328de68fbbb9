"""``torch.func``: ``apply`` inside the function, so that the penalties are consumed where they are made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, gradients, l1, task
from torchreg import L1, L2, Regularizer, activations, params

REG = Regularizer(L1(1.0).on(activations("a", per="batch"), name="a"), L2(1.0).on(params(), name="p"))


class Loss(nn.Module):
    """A model's loss with its penalties, as a module, so that its parameters can be given to it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        output, penalties = REG.apply(self.model, x)
        return task(output) + penalties.total


def _flat(tree: dict[str, Tensor]) -> Tensor:
    return torch.cat([x.reshape(-1) for x in tree.values()])


@covers("functional transforms", "torch")
@pytest.mark.parametrize("inplace", [False, True])
def test_grad_of_a_functional_call(inplace: bool) -> None:
    """The gradient by ``torch.func.grad`` is that of backward, at other parameters than the module's own too."""
    loss = Loss(Net(nn.ReLU(inplace=inplace)))
    own = {name: p.detach().clone() for name, p in loss.named_parameters()}
    for values in (own, {name: 2 * p for name, p in own.items()}):
        got = grad(lambda p: functional_call(loss, p, (X,)))(values)
        loss.load_state_dict(values)
        equal(_flat(got), gradients(loss, loss(X)))


def test_per_sample_gradients_under_vmap() -> None:
    """Under ``vmap`` there is no sample axis, and ``per="batch"`` means just that."""
    loss = Loss(Net())
    own = {name: p.detach() for name, p in loss.named_parameters()}
    got = vmap(grad(lambda p, x: functional_call(loss, p, (x,))), in_dims=(None, 0))(own, X)
    for i, x in enumerate(X):
        equal(_flat({name: g[i] for name, g in got.items()}), gradients(loss, loss(x)))


def test_an_ensemble_under_vmap() -> None:
    """Stacked parameters: the penalties of each member."""
    loss = Loss(Net())
    own = {name: p.detach() for name, p in loss.named_parameters()}
    stacked = {name: torch.stack([p, 3 * p]) for name, p in own.items()}
    got = vmap(lambda p: functional_call(loss, p, (X,)))(stacked)
    equal(got[0], loss(X))
    equal(got[1], functional_call(loss, {name: 3 * p for name, p in own.items()}, (X,)))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_forward_mode() -> None:
    """The derivative along a direction is the product of gradient and direction."""
    loss = Loss(Net())
    own = {name: p.detach() for name, p in loss.named_parameters()}
    direction = {name: torch.ones_like(p) for name, p in own.items()}
    value, derivative = jvp(lambda p: functional_call(loss, p, (X,)), (own,), (direction,))[:2]
    equal(value, loss(X))
    equal(derivative, gradients(loss, loss(X)).sum())


def test_second_order_through_a_pass() -> None:
    """A gradient of a gradient goes through what the hook saved."""
    model, x = Net(), X.clone().requires_grad_()
    reg = Regularizer(L2(1.0).on(activations("act", per="batch")))

    def second(penalty: Tensor) -> Tensor:
        first = torch.autograd.grad(penalty, x, create_graph=True)[0]
        return torch.autograd.grad(first.square().sum(), x)[0]

    equal(second(reg.apply(model, x)[1].total), second(model.act(model.a(x)).square().sum()))


class Inside(nn.Module):
    """A layer under a function that the model itself runs."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(4, 4, dtype=torch.float64)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer, x)


LAYER = Regularizer(L1(1.0).on(activations("layer", per="batch", layout=("sample", "feature")), name="layer"))


@covers("a gradient inside the model", "torch")
@pytest.mark.parametrize(
    "function",
    [
        lambda layer, x: grad(lambda v: layer(v).sum())(x),
        lambda layer, x: torch.func.vjp(layer, x)[0],
        lambda layer, x: jvp(layer, (x,), (x,))[0],
    ],
    ids=["grad", "vjp", "jvp"],
)
def test_autodiff_inside_the_model_counts_once(function: Any) -> None:
    """Value and gradient of the plain layer: what is differentiated inside is heard once."""
    model = Inside(function)
    expected = gradients(model, l1(model.layer(X)))
    with LAYER.attach(model) as tape:
        for _ in range(2):
            model(X)
            equal(gradients(model, tape.penalty()), expected)
            equal(gradients(model, LAYER.apply(model, X)[1].total), expected)
            tape.penalty()


@covers("a transform that knows no modules", "torch", "RuntimeError: `apply` inside, or `Tap`")
def test_a_vmap_inside_the_model_is_an_error() -> None:
    """What it measures could not leave it; a model that is mapped as a whole is another matter."""
    model = Inside(lambda layer, x: vmap(layer)(x))
    for call in (lambda: LAYER.attach(model) and model(X), lambda: LAYER.apply(model, X)):
        with pytest.raises(RuntimeError) as caught:
            call()
        assert str(caught.value) == (
            "activations: 'layer' must be called outside of torch.func.vmap, as the model is; got 'inside'. Call "
            "Regularizer.apply inside the function that is mapped, or name what vmap returns with torchreg.Tap."
        )


@covers("a gradient rule of the model's own", "torch", "RuntimeError: `Tap`, or `inject`")
def test_a_module_inside_a_function_with_its_own_backward_is_an_error() -> None:
    """Its forward runs without gradients, so that the penalty would have a value and no gradient."""

    class Ruled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, layer: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return layer(x)

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
            return gradient, None

    model = Inside(lambda layer, x: Ruled.apply(x, layer))
    with pytest.raises(RuntimeError, match="gradients must be enabled at 'layer'"):
        LAYER.apply(model, X.clone().requires_grad_())
