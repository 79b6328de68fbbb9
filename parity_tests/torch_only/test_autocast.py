"""Mixed precision: sums are taken in float32 whatever the activation is, and autocast reaches no penalty."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, l1_of
from torchreg import Orthogonal, Penalty, Regularizer, activations, params

GRAM = Penalty.from_function(lambda x: (x @ x.mT).sum(), name="gram")
LOW = [torch.bfloat16, torch.float16]


@covers("low precision (autocast, bfloat16)", "torch")
@pytest.mark.parametrize("dtype", LOW)
def test_low_precision_activations_are_summed_in_float32(dtype: torch.dtype) -> None:
    """A sum of many bfloat16 numbers, and one beyond the range of float16."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(64, 512)), 40 * torch.randn(256, 64)
    with torch.autocast("cpu", dtype):
        output, penalties = l1_of("0").apply(model, x)
    assert output.dtype == dtype
    exact = output.detach().double().abs().sum()
    assert exact > 65504
    assert penalties.total.dtype == torch.float32
    torch.testing.assert_close(penalties.total.double().detach(), exact, rtol=2e-6, atol=0)
    penalties.total.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("dtype", LOW)
def test_matrix_products_of_a_penalty_stay_in_float32(dtype: torch.dtype) -> None:
    """Read inside autocast, as a loss usually is; of parameters, of activations, and called directly."""
    model, x = Net(dtype=torch.float32), torch.randn(6, 4)
    kernel, hidden = params("a.weight"), activations("a", layout=("sample", "feature"))
    reg = Regularizer(Orthogonal(1.0).on(kernel, name="kernel"), GRAM.on(hidden, name="hidden"))
    plain = Orthogonal(1.0)(model.a.weight)
    with torch.autocast("cpu", dtype):
        assert torch.equal(Orthogonal(1.0)(model.a.weight), plain)
        penalties = reg.apply(model, x)[1]
        rounded = model.a(x).float()
        with reg.attach(model) as tape:
            model(x)
            read = tape.penalties()
    for found in (penalties, read):
        assert torch.equal(found.terms["kernel"], plain)
        torch.testing.assert_close(found.terms["hidden"], (rounded @ rounded.mT).sum(), rtol=1e-6, atol=0)
