"""Activation checkpointing: value and gradient of the plain model, counted once, or an error that names the way out."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import X, equal, gradients, l1, l1_of, proven, task
from torchreg import L1, L2, Penalty, Regularizer, activations


class Block(nn.Module):
    """Two layers whose inside is recomputed in backward."""

    def __init__(self, reentrant: bool | None = False, *, inplace: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.reentrant = reentrant
        self.a = nn.Linear(4, 4, dtype=torch.float64)
        self.act = nn.ReLU(inplace=inplace)
        self.b = nn.Linear(4, 4, dtype=torch.float64)

    def inside(self, x: Tensor) -> Tensor:
        return self.b(self.act(self.a(x)).tanh())

    def forward(self, x: Tensor) -> Tensor:
        if self.reentrant is None:
            return self.inside(x)
        return checkpoint(self.inside, x, use_reentrant=self.reentrant)  # pyright: ignore[reportReturnType]


class Twice(nn.Module):
    """Checkpointed blocks in a row."""

    def __init__(self, reentrant: bool | None = False, *, inplace: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(reentrant, inplace=inplace) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


REG = Regularizer(
    L1(1.0).on(activations("blocks.*.a", per="batch"), name="l1"),
    L2(0.5).on(activations("blocks.*.act", mask="pad"), name="l2"),
)
MASK = torch.tensor([1, 1, 0, 1, 0, 1])


def _step(model: Twice, *, passes: int = 1, detach: bool = False) -> tuple[Tensor, Tensor]:
    """The penalty and the whole gradient of a step; the inputs of its passes differ."""
    tape = REG.attach(model)
    with tape.at(masks={"pad": MASK}):
        loss = torch.stack([task(model(X + i)) for i in range(passes)]).sum()
        total = tape.penalty()
    if detach:
        tape.detach()
    gradient = gradients(model, loss + total)
    tape.detach()
    return total.detach(), gradient


@covers("checkpointing (`checkpoint`, `remat`)", "torch")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("passes", [1, 2])
def test_a_checkpointed_model_equals_the_plain_one(passes: int, detach: bool, inplace: bool) -> None:
    """To the bit: with masks, with two passes before the read, and with the tape detached before backward."""
    value, gradient = _step(Twice(None, inplace=inplace), passes=passes)
    for _ in range(2):
        got = _step(Twice(inplace=inplace), passes=passes, detach=detach)
        assert torch.equal(got[0], value)
        assert torch.equal(got[1], gradient)


def test_the_recomputation_leaves_nothing_for_the_next_step() -> None:
    """Backward runs the hooks again; the next step's penalty is that of one pass."""
    model = Twice()
    with l1_of("blocks.*.act").attach(model) as tape:
        values = []
        for _ in range(3):
            loss = task(model(X)) + tape.penalty()
            values.append(loss.item())
            loss.backward()
            with pytest.raises(RuntimeError, match="a pass must be made since the last read"):
                tape.penalty()
    assert values[0] == values[1] == values[2]


def test_a_root_that_is_checkpointed_counts_once() -> None:
    """Its recomputation is no pass, and ``apply`` inside a checkpoint is right as well."""
    model, reg = Block(None), l1_of("act")
    expected = gradients(model, task(model(X)) + l1(model.a(X).relu()))
    with reg.attach(model) as tape:
        for _ in range(2):
            output: Any = checkpoint(model, X, use_reentrant=False)
            equal(gradients(model, task(output) + tape.penalty()), expected)

    def loss(x: Tensor) -> Tensor:
        output, penalties = reg.apply(model, x)
        return task(output) + penalties.total

    for reentrant in (False, True):
        inside: Any = checkpoint(loss, X.clone().requires_grad_(), use_reentrant=reentrant)
        equal(gradients(model, inside), expected)


def test_the_recomputation_of_a_whole_root_is_no_pass() -> None:
    """Run to its end, or with gradients for the first time: the next read does not count it."""
    model, x = Block(None), X.clone().requires_grad_()
    with l1_of("act").attach(model) as tape:
        with set_checkpoint_early_stop(False):
            output: Any = checkpoint(model, x, use_reentrant=False)
            (task(output) + tape.penalty()).backward()
        again: Any = checkpoint(model, x, use_reentrant=True)
        task(again).backward()
        with pytest.raises(RuntimeError, match="a pass must be made since the last read"):
            tape.penalty()


@covers("checkpointing (reentrant)", "torch", "RuntimeError: `use_reentrant=False` or `inject`")
@pytest.mark.parametrize("attached", [False, True])
def test_reentrant_checkpointing_is_an_error_with_two_ways_out(attached: bool) -> None:
    """Its forward runs without gradients, so that the penalty would have a value and no gradient."""
    model, x = Twice(True), X.clone().requires_grad_()
    reg = l1_of("blocks.*.act")
    expected = (
        "activations: gradients must be enabled at 'blocks.0.act', because they were when the pass began; "
        "got 'disabled'. Use checkpoint(..., use_reentrant=False), or torchreg.inject, or move the module out of "
        "no_grad."
    )
    if attached:
        reg.attach(model)
    with pytest.raises(RuntimeError, match=re.escape(expected)):
        model(x) if attached else reg.apply(model, x)


class Selective(Block):
    """Keeps the results of some operations, which the penalty calls too, and recomputes the others."""

    def inside(self, x: Tensor) -> Tensor:
        hidden = self.act(self.act(self.a(x)) - 0.1)
        return self.b(hidden * hidden.abs().sum()) + (hidden @ hidden.mT).sum()

    def forward(self, x: Tensor) -> Tensor:
        contexts = partial(create_selective_checkpoint_contexts, _kept)
        given: Any = {} if self.reentrant is None else {"context_fn": contexts}
        return checkpoint(self.inside, x, use_reentrant=False, **given)  # pyright: ignore[reportReturnType]


def _kept(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    kept = {getattr(torch.ops.aten, name).default for name in ("abs", "sum", "mm", "clone")}
    return CheckpointPolicy.MUST_SAVE if operation in kept else CheckpointPolicy.PREFER_RECOMPUTE


@covers("selective checkpointing", "torch")
def test_a_selective_checkpoint_does_not_take_the_penalty_for_the_model() -> None:
    """A module called twice inside, whose penalty runs the operations that are kept."""
    gram = Penalty.from_function(lambda x: (x @ x.mT).sum(), name="gram")
    reg = Regularizer(
        L1(1.0).on(activations("act", per="batch")),
        (gram + L2(1.0)).on(activations("act", layout=("sample", "feature")), name="gram"),
    )

    def step(model: Block) -> Tensor:
        with reg.attach(model) as tape:
            return gradients(model, task(model(X)) + tape.penalty())

    for _ in range(2):
        equal(step(Selective()), step(Selective(None)))


def test_a_model_under_checkpoint_sequential_is_the_plain_one() -> None:
    """PyTorch's own container of segments."""
    from torch.utils.checkpoint import checkpoint_sequential

    class Segments(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return checkpoint_sequential(list(self), 2, x, use_reentrant=False)

    model = Segments(*[nn.Linear(4, 4, dtype=torch.float64) for _ in range(4)])
    proven(model, l1_of("*"), lambda: (task(model(X)), _every(model)), X)


def _every(model: nn.Sequential) -> Tensor:
    x, total = X, torch.zeros((), dtype=torch.float64)
    for layer in model:
        x = layer(x)
        total = total + l1(x)
    return total
