"""Gradients of many parameters added as lists, which is how a GPU is served: the numbers of autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from parity_tests.precision import unit
from torchreg import L1, L2, ElasticNet, Regularizer, add_penalty_gradients, fused, params

SHAPES = ((3, 4), (5,), (), (0,), (2, 3, 4))
TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def arrays(dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    """Arrays with zeros of both signs among them, and one in another memory order."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in SHAPES]
    made[0][0], made[1][:2] = 0.0, torch.tensor([-0.0, 0.5], dtype=torch.float64)
    return [x.to(device, dtype) for x in made] + [made[0].t().to(device, dtype)]


def check(dtype: torch.dtype, device: str) -> None:
    """Values within the bound of a sum, gradients within two roundings to their type and two of what they must be."""
    for l1, l2 in ((0.3, None), (None, 0.7), (0.3, 0.7)):
        xs, by = arrays(dtype, device), 1.5
        before = [torch.full_like(x, 0.25) for x in xs]
        after = [gradient.clone() for gradient in before]
        values = fused.add_in_lists(after, xs, l1, l2, by)
        exact = [x.double().cpu().numpy() for x in xs]
        a, b = l1 or 0.0, l2 or 0.0
        due = [a * math.fsum(np.abs(x).ravel()) + b * math.fsum((x**2).ravel()) for x in exact]
        wide = "float64" if dtype == torch.float64 else "float32"
        assert values.dtype == getattr(torch, wide)
        np.testing.assert_allclose(values.double().cpu().numpy(), due, rtol=16 * unit(wide), atol=0)
        for gradient, x in zip(after, exact, strict=True):
            slope = 0.25 + by * (a * np.sign(x) + 2 * b * x)
            size = 2 * torch.finfo(dtype).eps * (0.25 + by * (a + 2 * b * np.abs(x)))
            assert gradient.dtype == dtype
            assert np.all(np.abs(gradient.double().cpu().numpy() - slope) <= size)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_lists_of_short_arrays(dtype: torch.dtype) -> None:
    """The same code on the CPU, where the running sums of short arrays are as good."""
    check(dtype, "cpu")


def test_a_share_has_one_array_or_few_elements() -> None:
    """Every place is in one share, in order; a share of several has at most so many elements."""
    sizes = [fused.LISTED + 1, 1, fused.LISTED - 1, 1, 2 * fused.LISTED, 3]
    xs = [torch.empty(size, device="meta") for size in sizes]
    assert list(fused._shares(list(range(6)), xs, fused.LISTED)) == [[0], [1, 2], [3], [4], [5]]


def on_cuda() -> None:
    """Skips where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU: lists of CUDA tensors")


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_lists_on_a_gpu(dtype: torch.dtype) -> None:
    """As on the CPU."""
    on_cuda()
    check(dtype, "cuda")


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.7), ElasticNet(0.3, 0.7)], ids=str)
def test_add_penalty_gradients_on_a_gpu(penalty: L1) -> None:
    """The optimizer's way against the loss's, for a model whose weights are on a GPU."""
    on_cuda()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 300), torch.nn.Linear(300, 2)).cuda()
    reg = Regularizer(penalty.on(params("**"), name="all"))
    total = reg.attach(model).penalty()
    due = torch.autograd.grad(total, list(model.parameters()))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    handle = add_penalty_gradients(optimizer, reg, model)
    optimizer.step()
    assert handle.penalties is not None
    torch.testing.assert_close(handle.penalties.total, total.detach(), rtol=32 * unit("float32"), atol=0)
    for parameter, gradient in zip(model.parameters(), due, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=8 * unit("float32"), atol=0)
