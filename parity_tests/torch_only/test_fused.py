"""The chunked path of sums over elements: the plain algebra's numbers, and plain algebra where it cannot serve."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode

from parity_tests.bounds import FLOAT64
from parity_tests.precision import unit
from torchreg import L1, L2, ElasticNet, fused, lists

SIZES = (fused.LEAST, fused.LEAST + fused.SHARE - 1, 3 * fused.LEAST + 1)
PENALTIES = (L1(0.3), L2(0.7), ElasticNet(0.3, 0.7), L1(0.0))


def large(n: int, dtype: torch.dtype) -> torch.Tensor:
    """Numbers with zeros of both signs among them."""
    x = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    x[::7], x[3::11] = 0.0, -0.0
    return x.to(dtype).requires_grad_()


def coefficients(penalty: L1 | L2 | ElasticNet) -> tuple[float, float]:
    """(l1, l2)."""
    if isinstance(penalty, ElasticNet):
        return penalty.l1, penalty.l2
    return (penalty.strength, 0.0) if isinstance(penalty, L1) else (0.0, penalty.strength)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_value_and_gradient_are_within_the_bound(penalty: L1, n: int, dtype: torch.dtype) -> None:
    """Against exact sums, at every length around the borders of the pieces."""
    x = large(n, dtype)
    assert fused._is_served(x)
    value = penalty(x)
    (gradient,) = torch.autograd.grad(value, x)
    exact = x.detach().double().numpy()
    l1, l2 = coefficients(penalty)
    due = l1 * math.fsum(np.abs(exact)) + l2 * math.fsum(exact**2)
    accumulated = torch.float64 if dtype == torch.float64 else torch.float32
    relative = FLOAT64 if dtype == torch.float64 else (2 + math.log2(2 * n)) * unit("float32")
    assert (value.dtype, gradient.dtype) == (accumulated, dtype)
    assert abs(value.item() - due) <= relative * due
    slope = torch.from_numpy(l1 * np.sign(exact) + 2 * l2 * exact)
    torch.testing.assert_close(gradient, slope.to(dtype), rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_the_gradient_is_scaled_by_what_comes_back(penalty: L1) -> None:
    """Loss scaling, and a penalty that is used twice."""
    x = large(SIZES[0], torch.float64)
    (once,) = torch.autograd.grad(penalty(x), x)
    (scaled,) = torch.autograd.grad(penalty(x) * 3.0 + penalty(x), x)
    torch.testing.assert_close(scaled, 4.0 * once, rtol=1e-15, atol=0)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_a_second_derivative(penalty: L1) -> None:
    """Twice the coefficient of the squares."""
    x = large(SIZES[0], torch.float64)
    (gradient,) = torch.autograd.grad(penalty(x), x, create_graph=True)
    (second,) = torch.autograd.grad((gradient * gradient.detach()).sum(), x)
    torch.testing.assert_close(second, 2 * coefficients(penalty)[1] * gradient.detach(), rtol=1e-15, atol=0)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_many_gradients_at_once(penalty: L1) -> None:
    """A batch of vectors through one backward, as ``is_grads_batched`` and vectorised Jacobians take it."""
    x = large(SIZES[0], torch.float64)
    (once,) = torch.autograd.grad(penalty(x), x)
    factors = torch.tensor([0.0, 1.0, -2.5], dtype=torch.float64)
    (several,) = torch.autograd.grad(penalty(x), x, factors, is_grads_batched=True)
    torch.testing.assert_close(several, factors[:, None] * once, rtol=1e-15, atol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # PyTorch's own, at its first jvp
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_where_it_cannot_serve_the_plain_algebra_does(penalty: L1) -> None:
    """torch.func, forward mode, strided arrays, masks, compiled code and fake tensors."""
    x = large(SIZES[0], torch.float64)
    value = penalty(x)
    (due,) = torch.autograd.grad(value, x)
    plain = x.detach()
    torch.testing.assert_close(torch.func.grad(penalty)(plain), due, rtol=1e-15, atol=0)
    forward = torch.func.jvp(penalty, (plain,), (torch.ones_like(plain),))[1]
    torch.testing.assert_close(forward, due.sum(), rtol=1e-10, atol=1e-10)
    with torch.autograd.forward_ad.dual_level():
        dual = penalty(torch.autograd.forward_ad.make_dual(plain, torch.ones_like(plain)))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(tangent, due.sum(), rtol=1e-10, atol=1e-10)
    mapped = torch.func.vmap(penalty)(torch.stack([plain, plain]))
    torch.testing.assert_close(mapped, torch.stack([value, value]).detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(penalty(torch.stack([plain, plain], 1)[:, 0]), value, rtol=1e-12, atol=0)
    compiled = torch.compile(penalty, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(torch.autograd.grad(compiled(x), x)[0], due, rtol=1e-15, atol=0)
    torch._dynamo.reset()
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert penalty(torch.empty(SIZES[0])).shape == ()


def test_nan_and_infinity_reach_the_value() -> None:
    """In whatever piece they stand."""
    for bad, due in ((math.nan, math.isnan), (math.inf, math.isinf)):
        x = large(SIZES[2], torch.float32).detach()
        x[-1] = bad
        assert all(due(penalty(x).item()) for penalty in PENALTIES[:3])


@pytest.mark.parametrize("penalty", PENALTIES[:3], ids=str)
def test_adding_a_gradient_in_place(penalty: L1) -> None:
    """The same numbers as the node, times a factor, on top of what was there; the value without the factor."""
    x = large(SIZES[2], torch.float64)
    (due,) = torch.autograd.grad(penalty(x), x)
    gradient = torch.ones_like(x)
    value = fused.add_elastic_gradient(gradient, x.detach(), *coefficients(penalty), 0.5)
    torch.testing.assert_close(gradient, 1 + 0.5 * due, rtol=1e-15, atol=4e-16)  # terms of size 1 may cancel
    torch.testing.assert_close(value, penalty(x).detach(), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("l1", "l2"), [(0.3, None), (None, 0.7), (0.3, 0.7)])
def test_adding_the_gradient_of_one_sum_or_of_two(l1: float | None, l2: float | None) -> None:
    """A coefficient of None leaves its sum out; the other multiplies value and gradient once."""
    x = large(SIZES[2], torch.float64).detach()
    gradient = torch.zeros_like(x)
    value = fused.add_elastic_gradient(gradient, x, l1, l2, 0.5)
    a, b = l1 or 0.0, l2 or 0.0
    torch.testing.assert_close(gradient, 0.5 * (a * x.sign() + 2 * b * x), rtol=1e-15, atol=0)
    torch.testing.assert_close(value, a * x.abs().sum() + b * x.square().sum(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("given", [(1.0, None), (None, 1.0), (0.5, 0.5)], ids=str)
def test_the_sums_of_a_list_are_no_running_sums(given: tuple[float | None, float | None]) -> None:
    """Of 16,384 equal numbers a running sum is 300 to 2,600 u off."""
    n, one = 1 << 14, float(np.float32(0.1))
    xs = [torch.full((n,), 0.1) for _ in range(4)]
    due = n * ((given[0] or 0.0) * one + (given[1] or 0.0) * one**2)
    for found in (
        lists.elastics(xs, *given),
        lists.add_elastic_gradients([x.clone() for x in xs], xs, [[0, 1], [2, 3]], *given, 0.5),
    ):
        assert all(len(places) > 1 for places, _ in found)
        for value in (value.item() for _, values in found for value in values):
            assert abs(value - due) <= (2 + math.log2(2 * n)) * unit("float32") * due
