"""Nothing grows: live tensors and memory of a run, and no captured tensor that outlives its need."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, l1_of, task
from torchreg import L1, L2, ElasticNet, L2Norm, Regularizer, activations, fused


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


@pytest.mark.parametrize("penalty", [L1(1.0), L2(1.0), ElasticNet(1.0, 1.0)], ids=str)
def test_a_large_array_needs_no_other_of_its_size(penalty: Any) -> None:
    """One piece of scratch for the value, and nothing beside the result for the gradient of a float32 array."""
    x = torch.ones(16 * fused.SHARE * torch.get_num_threads(), requires_grad=True)
    piece = 4 * fused.SHARE * torch.get_num_threads()
    assert _peak(lambda: penalty(x)) <= piece + 4096
    assert _peak(lambda: penalty(x).backward()) <= x.nbytes + 4096


def _peak(call: Callable[[], Any]) -> int:
    """The most bytes that were alive at once of those that a call allocated."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    results: Any = profiler.profiler.kineto_results  # pyright: ignore[reportOptionalMemberAccess]
    alive = most = 0
    for event in sorted(results.events(), key=lambda event: event.start_ns()):
        alive += event.nbytes() if event.name() == "[memory]" else 0
        most = max(most, alive)
    return most


def _fail(x: Tensor) -> Tensor:
    raise ZeroDivisionError
