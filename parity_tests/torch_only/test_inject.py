"""Injection: the identity in forward, the penalty's gradient in backward, under all that PyTorch does to both."""

from __future__ import annotations

import copy
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import X, equal, l1
from torchreg import L1, L2Norm
from torchreg.inject import Penalize, inject

WEIGHT = X.flip(0)
P = L1(0.3)
ONCE = Penalize(P)


def _task(x: Tensor) -> Tensor:
    return (x.tanh() * WEIGHT).sum()


def _gradient(function: Callable[[Tensor], Any]) -> Tensor:
    x = X.clone().requires_grad_()
    function(x).backward()
    assert x.grad is not None
    return x.grad


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    yield
    torch._dynamo.reset()


EXPECTED = _gradient(lambda x: _task(x) + 0.6 * l1(x))

INJECTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "inject": lambda x: inject(x, P, scale=2.0),
    "inject with an array": lambda x: inject(x, P, scale=torch.tensor(2.0)),
    "Penalize": Penalize(P, 2.0),
    "twice": lambda x: inject(inject(x, P), P),
    "shared": lambda x: ONCE(ONCE(x)),
}


def _kept(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    """Keeps the results of operations that a penalty calls too."""
    kept = {getattr(torch.ops.aten, name).default for name in ("abs", "sum", "mul")}
    return CheckpointPolicy.MUST_SAVE if operation in kept else CheckpointPolicy.PREFER_RECOMPUTE


_SELECTIVE = partial(create_selective_checkpoint_contexts, _kept)


def _functions(given: Callable[[Tensor], Tensor]) -> dict[str, Callable[[Tensor], Any]]:
    def loss(x: Tensor) -> Tensor:
        return _task(given(x))

    return {
        "eager": loss,
        "checkpoint": lambda x: checkpoint(loss, x, use_reentrant=False),
        "reentrant checkpoint": lambda x: checkpoint(loss, x, use_reentrant=True),
        "selective checkpoint": lambda x: checkpoint(loss, x, use_reentrant=False, context_fn=_SELECTIVE),
        "compile": torch.compile(loss, backend="aot_eager", fullgraph=True),
    }


@covers("`inject` and `Penalize`", "torch")
@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("mode", ["eager", "checkpoint", "reentrant checkpoint", "selective checkpoint", "compile"])
@pytest.mark.parametrize("name", INJECTIONS)
def test_the_gradient_is_added_and_the_value_is_not(name: str, mode: str) -> None:
    """In every mode: the gradient of task plus penalty, the value of the task."""
    function = _functions(INJECTIONS[name])[mode]
    equal(_gradient(function), EXPECTED)
    equal(function(X.clone().requires_grad_()).detach(), _task(X))


@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("name", ["inject", "Penalize"])
def test_inductor_adds_the_gradient(name: str) -> None:
    """Compiled to code of its own; with a checkpoint inside, ``Penalize`` sets its value between two graphs."""
    given = INJECTIONS[name]
    equal(_gradient(torch.compile(lambda x: _task(given(x)), fullgraph=True)), EXPECTED)
    inside = torch.compile(lambda x: _task(checkpoint(given, x, use_reentrant=False)), fullgraph=name == "inject")
    equal(_gradient(inside), EXPECTED)


def test_the_legacy_penalty() -> None:
    """λ·sign(x) + gradOutput, with 0 at 0, as Torch 7 had it."""
    x = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    given = torch.tensor([10.0, 20.0, 30.0])
    inject(x, P).backward(given)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, given + 0.3 * x.detach().sign(), rtol=0, atol=0)


def test_the_scale_of_the_loss_does_not_reach_the_penalty() -> None:
    """Nor does a second backward, or a loss that ignores part of the array."""
    equal(_gradient(lambda x: 8 * _task(inject(x, P, scale=2.0))), _gradient(lambda x: 8 * _task(x) + 0.6 * l1(x)))
    equal(_gradient(lambda x: inject(x, P, scale=2.0)[0].sum()), _gradient(lambda x: x[0].sum() + 0.6 * l1(x)))


def test_axes_and_masks_reach_the_penalty() -> None:
    """As in a call of the penalty."""
    p, mask = L2Norm(1.0), torch.tensor([1, 0, 1, 1, 0, 1])
    axes = ("sample", "feature")
    expected = _gradient(lambda x: _task(x) + p(x, axes=axes, where=mask))
    equal(_gradient(lambda x: _task(inject(x, p, axes=axes, where=mask))), expected)


def test_autocast_takes_the_penalty_in_float32() -> None:
    """A bfloat16 activation: its gradient stays bfloat16, the value is a float32 sum."""
    model, once = nn.Linear(4, 4), Penalize(P)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(X.float())
        once(hidden).sum().backward()
    assert once.value is not None
    assert once.value.dtype == torch.float32
    torch.testing.assert_close(once.value.double(), 0.3 * l1(hidden.double()).detach(), rtol=1e-6, atol=0)
    assert model.weight.grad is not None
    assert model.weight.grad.dtype == torch.float32


def test_under_vmap_and_grad() -> None:
    """Per-sample gradients."""
    function = torch.func.grad(lambda x, w: (inject(x, P, scale=2.0).tanh() * w).sum())
    equal(torch.func.vmap(function)(X, WEIGHT), EXPECTED)


def test_the_value_is_readable_and_no_state() -> None:
    """Of the last differentiated call, without a graph; a pass without gradients computes nothing."""
    once = Penalize(P, 2.0)
    assert once.value is None
    once(X)
    with torch.no_grad():
        once(X.clone().requires_grad_())
    assert once.value is None
    once(X.clone().requires_grad_())
    assert once.value is not None
    equal(once.value, 0.3 * l1(X))
    assert not once.value.requires_grad
    assert not once.state_dict()
    assert not list(once.buffers())
    for other in (copy.deepcopy(once), pickle.loads(pickle.dumps(once))):
        equal(_gradient(lambda x, other=other: _task(other(x))), EXPECTED)
    assert repr(once) == "Penalize(L1(strength=0.3), scale=2.0)"


@covers("`inject`, then written in place", "torch", "RuntimeError of PyTorch: `clone()`")
def test_writing_in_place_behind_an_injection_is_an_error() -> None:
    """PyTorch refuses it at once and says what to do; behind a clone it is right."""
    with pytest.raises(RuntimeError, match="fix this by cloning the output of the custom Function"):
        _gradient(lambda x: inject(x * 1, P).relu_().sum())
    expected = _gradient(lambda x: x.relu().sum() + 0.3 * l1(x))
    equal(_gradient(lambda x: inject(x * 1, P).clone().relu_().sum()), expected)


@pytest.mark.parametrize(
    ("arguments", "scale", "error", "message"),
    [
        ((X, 3), 1.0, TypeError, "inject: penalty must be a penalty, such as L1(1e-4); got 3."),
        ((X, P), "x", TypeError, "inject: scale must be a finite number >= 0; got 'x'."),
        ((X, P), -1.0, ValueError, "inject: scale must be a finite number >= 0; got -1.0."),
        ((X, P), float("nan"), ValueError, "inject: scale must be a finite number >= 0; got nan."),
        ((X, P), torch.ones(2), ValueError, "inject: scale must be a number or a scalar array; got (2,)."),
        ((torch.arange(3), P), 1.0, TypeError, "inject: x must be a dense floating array; got 'int64'."),
    ],
)
def test_wrong_arguments(arguments: Any, scale: Any, error: type[Exception], message: str) -> None:
    """The whole sentence, with and without gradients."""
    with pytest.raises(error, match=re.escape(message)):
        inject(*arguments, scale=scale)
