"""Copies of a model that has a tape: nothing of the tape goes with them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, l1, l1_of


def _saved(model: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": _saved,
}


@covers("a copied or pickled model", "torch")
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_inert(how: str) -> None:
    """A copy gives the same output, writes to no tape, and takes a tape of its own."""
    model = Net()
    with l1_of().attach(model) as tape:
        model(X)
        other = COPIES[how](model)
        assert isinstance(other, Net)
        assert all(hook.tape is None for hook in other.act._forward_hooks.values())  # pyright: ignore[reportFunctionMemberAccess]
        equal(other(X), model(X))
        with torch.no_grad():
            other.a.weight.zero_()
        other(X)
        equal(tape.penalty(), 2 * l1(model.act(model.a(X))))
        with l1_of().attach(other) as second:
            other(X)
            equal(second.penalty(), l1(other.act(other.a(X))))
            with pytest.raises(RuntimeError, match="a pass must be made"):
                tape.penalty()


@covers("the state of an attached model", "torch")
def test_the_state_dict_is_clean() -> None:
    """The same keys as before, with strict loading into a plain model."""
    model = Net()
    before = list(model.state_dict())
    with l1_of().attach(model):
        assert list(model.state_dict()) == before
        assert list(dict(model.named_modules())) == list(dict(Net().named_modules()))
        Net().load_state_dict(model.state_dict())
