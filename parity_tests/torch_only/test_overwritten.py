"""Operations that write over a captured tensor: the value and the gradient are those from before."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, gradients, l1, l1_of, proven, task
from torchreg import saved


class Residual(nn.Module):
    """Writes over what a module returned."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(4, 4, dtype=torch.float64)
        self.often = True

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if self.often:
            y += 1.0
        return y.tanh()


@covers("written in place after the module", "torch")
def test_an_activation_that_the_next_module_overwrites() -> None:
    """``ReLU(inplace=True)`` behind a hooked convolution."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, dtype=torch.float64), nn.ReLU(inplace=True))
    x = X.reshape(1, 1, 6, 4)

    def plain() -> tuple[Tensor, Tensor]:
        y = model[0](x)
        return task(functional.relu(y)), l1(y)

    proven(model, l1_of("0"), plain, x)


def test_an_activation_that_is_added_to_in_place() -> None:
    """``x += 1`` in the forward of the parent."""
    model = Residual()
    proven(model, l1_of("layer"), lambda: (task(model(X)), l1(model.layer(X))), X)


def test_an_output_that_is_written_over_before_the_read() -> None:
    """The caller divides the logits by a temperature in place, after the pass."""
    model = Net()
    logits = model(X)
    expected = gradients(model, task(logits / 2) + l1(logits))
    with l1_of("b").attach(model) as tape:
        for _ in range(3):
            logits = model(X)
            logits /= 2
            equal(gradients(model, task(logits) + tape.penalty()), expected)


def test_no_copy_is_made_where_nothing_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pass copies, later ones do not; where something writes all of them do."""
    copies: list[str] = []
    clone = Tensor.clone

    def counted(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        copies.append("copy")
        return clone(x, *args, **kwargs)

    monkeypatch.setattr(Tensor, "clone", counted)
    counts = []
    for act in (nn.ReLU(), nn.ReLU(inplace=True)):
        model, reg = Net(act), l1_of("a")
        for _ in range(3):
            copies.clear()
            reg.apply(model, X)
            counts.append(len(copies))
        with reg.attach(model) as tape:
            for _ in range(2):
                copies.clear()
                task(model(X)).add(tape.penalty()).backward()
                counts.append(len(copies))
    assert counts == [1, 0, 0, 0, 0, 1, 1, 1, 1, 1]


@covers("written in place only now and then", "torch", "RuntimeError in backward: repeat the step, or `clone()`")
def test_a_module_that_changes_its_ways_is_an_error_and_then_right() -> None:
    """A branch that writes only later: no wrong gradient, and the repeated step is right."""
    model, reg = Residual(), l1_of("layer")
    model.often = False
    reg.apply(model, X)
    model.often = True
    output, penalties = reg.apply(model, X)
    expected = "activations: the output of 'layer' must be left as it was until backward, as in earlier passes; "
    with pytest.raises(RuntimeError, match=re.escape(expected)):
        (task(output) + penalties.total).backward()
    wanted = gradients(model, task(model(X)) + l1(model.layer(X)))
    output, penalties = reg.apply(model, X)
    equal(gradients(model, task(output) + penalties.total), wanted)


def test_what_is_known_of_a_module_goes_with_it() -> None:
    """The table of modules that were heard holds none of them."""
    model = Net()
    l1_of("a").apply(model, X)
    assert saved._WRITTEN[model.a] == {"output": False}
    known = len(saved._WRITTEN)
    del model
    import gc

    gc.collect()
    assert len(saved._WRITTEN) < known
