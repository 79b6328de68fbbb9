"""Passes and reads: what counts, what leaves nothing behind, and the order of calls."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, gradients, l1, l1_of, task
from torchreg import L1, L2, Regularizer, activations, params


class Failing(Net):
    """Raises behind the activation when it is told to."""

    failure: BaseException | None = None

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.act(self.a(x))
        if self.failure is not None:
            raise self.failure
        return self.b(hidden)


@covers("a read without a pass", "torch", "RuntimeError: call the model first")
def test_a_read_without_a_pass_is_an_error() -> None:
    """Before the first pass, and again after a read; a tape of parameters alone needs no pass."""
    model = Net()
    expected = "Tape.penalty: a pass must be made since the last read; got 'none'. Call the model itself, with "
    with l1_of().attach(model) as tape:
        for _ in range(2):
            with pytest.raises(RuntimeError, match=re.escape(expected)):
                tape.penalty()
            model(X)
            tape.penalty()
    with Regularizer(L2(1.0).on(params())).attach(model) as tape:
        equal(tape.penalty(), tape.penalty())


@covers("two passes before one read", "torch")
def test_passes_before_one_read_add_up_and_parameters_count_once() -> None:
    """A siamese network."""
    model = Net()
    reg = Regularizer(L1(1.0).on(activations("act", per="batch"), name="a"), L2(1.0).on(params(), name="p"))
    decay = torch.stack([p.square().sum() for p in model.parameters()]).sum()
    with reg.attach(model) as tape:
        loss = task(model(X)) + task(model(2 * X))
        penalties = tape.penalties()
        hidden = l1(model.act(model.a(X))) + l1(model.act(model.a(2 * X)))
        equal(penalties.terms["a"], hidden)
        equal(penalties.terms["p"], decay)
        got = gradients(model, loss + penalties.total)
    plain = task(model(X)) + task(model(2 * X))
    hidden = l1(model.act(model.a(X))) + l1(model.act(model.a(2 * X)))
    decay = torch.stack([p.square().sum() for p in model.parameters()]).sum()
    equal(got, gradients(model, plain + hidden + decay))


@covers("a tape that is never read", "torch", "RuntimeError at the 64th pass")
def test_the_64th_unread_pass_is_an_error() -> None:
    """63 are kept, the 64th says what to do; a read makes the tape new."""
    model = Net()
    with l1_of().attach(model) as tape:
        for _ in range(63):
            model(X)
        expected = "Tape: passes must be fewer than 64 between two reads; got 64. Call tape.penalty() after each step, "
        with pytest.raises(RuntimeError, match=re.escape(expected)):
            model(X)
        equal(tape.penalty(), 63 * l1(model.act(model.a(X))))
        model(X)
        tape.penalty()


@covers("evaluation between steps", "torch")
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_leaves_nothing_behind(mode: type[torch.no_grad]) -> None:
    """Passes without gradients between and beside those of a step: the next penalty is the same to the bit."""
    model = Net()
    with l1_of().attach(model) as tape:
        model(X)
        before = tape.penalty()
        with mode():
            model.eval()(3 * X)
        model.train()(X)
        with mode():
            model.eval()(5 * X)
        assert torch.equal(tape.penalty(), before)
        with mode():
            model(X)
        with pytest.raises(RuntimeError, match="a pass must be made"):
            tape.penalty()


@covers("`apply` without gradients", "torch")
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_apply_measures_without_gradients_too(mode: type[torch.no_grad]) -> None:
    """The value is that of a pass with gradients."""
    model = Net()
    expected = l1_of().apply(model, X)[1].total
    with mode():
        assert torch.equal(l1_of().apply(model, X)[1].total, expected)


@covers("an exception in forward", "torch")
@pytest.mark.parametrize("attached", [True, False])
def test_a_pass_that_raises_is_dropped(attached: bool) -> None:
    """Nothing of it is kept, a submodule called directly afterwards is not heard, and the next step is the same."""
    model, reg = Failing(), l1_of("*")
    with reg.attach(model) as tape:
        for failure in (ValueError(), RuntimeError()):
            model(X)
            before = tape.penalty()
            model.failure = failure
            with pytest.raises(type(failure)):
                model(X) if attached else reg.apply(model, X)
            model.failure = None
            assert not tape._pending
            assert not tape._watches
            model.act(100 * X)
            assert not tape._pending
            model(X)
            assert torch.equal(tape.penalty(), before)
    assert not model._forward_hooks
    assert not model.act._forward_hooks


@covers("an interrupt in forward", "torch")
def test_an_interrupt_is_dropped_like_an_exception() -> None:
    """PyTorch runs no hook after a KeyboardInterrupt; the next pass counts in full all the same."""
    model = Failing()
    with l1_of().attach(model) as tape:
        model.failure = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            model(X)
        model.failure = None
        model(X)
        equal(tape.penalty(), l1(model.act(model.a(X))))


class Recursive(Net):
    """Calls itself."""

    def forward(self, x: Tensor, depth: int = 2) -> Tensor:
        inner = self(x, depth - 1) if depth else self.b(self.act(self.a(x)))
        return inner + self.act(x).sum()


@covers("a model that calls itself", "torch")
def test_a_recursive_model_is_one_pass() -> None:
    """What came before and after the inner calls counts."""
    model = Recursive()
    expected = l1(model.act(model.a(X))) + 3 * l1(model.act(X))
    with l1_of().attach(model) as tape:
        for _ in range(2):
            model(X)
            assert tape._passes == 1
            equal(tape.penalty(), expected)


@covers("a submodule called outside a pass", "torch")
def test_a_submodule_called_outside_a_pass_does_not_count() -> None:
    """Only calls inside a call of the root do."""
    model = Net()
    with l1_of().attach(model) as tape:
        model(X)
        model.act(100 * X)
        equal(tape.penalty(), l1(model.act(model.a(X))))


def test_an_incomplete_read_is_dropped() -> None:
    """Where a module did not run the read is an error, and the next read is not that of two passes."""

    class Sometimes(Net):
        skip = True

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            return self.b(x if self.skip else self.act(x))

    model = Sometimes()
    with l1_of(("a", "act")).attach(model) as tape:
        model(X)
        with pytest.raises(RuntimeError, match=re.escape("got ('act',)")):
            tape.penalty()
        model.skip = False
        model(X)
        equal(tape.penalty(), l1(model.a(X)) + l1(model.act(model.a(X))))


@covers("gradient accumulation", "torch")
def test_gradient_accumulation_is_the_sum_of_its_steps() -> None:
    """One read and one backward per microbatch."""
    model = Net()
    with l1_of().attach(model) as tape:
        model.zero_grad()
        for part in X.split(2):
            (task(model(part)) + tape.penalty()).backward()
    got = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])
    equal(got, gradients(model, task(model(X)) + l1(model.act(model.a(X)))))


@pytest.mark.parametrize("way", ["apply", "bound", "tape"])
def test_a_mask_that_is_not_given_is_an_error(way: str) -> None:
    """In every way to call: the term and the mask are named."""
    model, reg = Net(), l1_of("act", mask="pad")
    if way == "tape":
        reg.attach(model)
    call = {"apply": reg.apply, "bound": reg.at().apply, "tape": lambda model, x: model(x)}[way]
    sentence = r"masks must be given for 'pad', which the term 's' uses; got None\. Use at"
    with pytest.raises(ValueError, match=sentence):
        call(model, X)
