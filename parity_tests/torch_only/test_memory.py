"""Nothing grows: live tensors and memory of a run, and no captured tensor that outlives its need."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, l1_of, task
from torchreg import L2Norm, Regularizer, activations


@covers("2,000 steps", "torch")
@pytest.mark.parametrize("mode", ["attached", "apply"])
def test_a_long_run_gathers_nothing(mode: str, request: pytest.FixtureRequest) -> None:
    """After the warm-up: no live tensor more, and at most 1 MiB; 2,000 steps, 10,000 in the full tier."""
    steps = {"pr": "2000", "full": "10000"}[str(request.config.getoption("--tier"))]
    command = [sys.executable, "-m", "parity_tests.torch_only.growth", steps, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown = ast.literal_eval(done.stdout)
    assert grown["tensors"] == 0
    assert grown["MiB"] <= 1


@pytest.mark.parametrize("inplace", [False, True])
def test_no_captured_tensor_outlives_the_step(inplace: bool) -> None:
    """Once loss and penalties are gone so is all that was captured, without the garbage collector's help."""
    model = Net(nn.ReLU(inplace=inplace))
    reg = Regularizer(L2Norm(1.0).on(activations("a")))
    seen: list[weakref.ref[Any]] = []
    model.a.register_forward_hook(lambda module, args, output: seen.append(weakref.ref(output)))
    tape = reg.attach(model)
    gc.disable()
    try:
        for _ in range(3):
            loss = task(model(X)) + tape.penalty()
            loss.backward()
            del loss
            output, penalties = reg.apply(model, X)
            del output, penalties
            assert tape.penalty().isfinite()
            assert [ref() for ref in seen] == [None] * len(seen)
    finally:
        gc.enable()
        tape.detach()


def test_a_pass_without_gradients_or_that_fails_holds_nothing() -> None:
    """Nothing of either is kept, in the first pass of a module either."""
    model, held = Net(), []
    model.act.register_forward_hook(lambda module, args, output: held.append(weakref.ref(output)))
    with l1_of().attach(model):
        with torch.no_grad():
            model(X)
        model.b.forward = _fail  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(ZeroDivisionError):
            model(X)
        gc.collect()  # the traceback of the error holds frames in a cycle
        assert [ref() for ref in held] == [None, None]


def _fail(x: Tensor) -> Tensor:
    raise ZeroDivisionError
