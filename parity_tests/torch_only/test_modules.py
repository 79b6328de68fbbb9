"""Which calls count: shared, aliased, skipped and never called modules; tied, frozen and parametrised parameters."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, l1, l1_of, proven, task
from torchreg import L1, L2, Regularizer, Tap, activations, params


class Shared(nn.Module):
    """One module under two names, called three times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 4, dtype=torch.float64)
        self.first = nn.Tanh()
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.layer(self.first(self.layer(self.first(x)))))


@covers("a shared module, called several times", "torch")
@pytest.mark.parametrize("name", ["first", "second", "*"])
def test_every_call_of_a_shared_module_counts_under_any_alias(name: str) -> None:
    """Three calls, one penalty: their sum, whichever of its names matched."""
    model = Shared()

    def plain() -> tuple[Tensor, Tensor]:
        one = X.tanh()
        two = model.layer(one).tanh()
        three = model.layer(two).tanh()
        return task(three), l1(one) + l1(two) + l1(three)

    reg = l1_of(name, type="Tanh")
    proven(model, reg, plain, X)
    chosen = "second" if name == "second" else "first"
    assert list(reg.apply(model, X)[1].layers["s"]) == [chosen]


class Functional(nn.Module):
    """A ReLU that is no module, unless it is named."""

    def __init__(self, tap: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 4, dtype=torch.float64)
        self.relu = tap or nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.layer(x))
        return self.relu(x) if isinstance(self.relu, Tap) else x


@covers("a functional activation", "torch", "RuntimeError: name it with `Tap`")
def test_a_module_that_never_runs_is_an_error() -> None:
    """A ReLU module that the forward bypasses by a functional call."""
    expected = (
        "Tape.penalty: activations must be modules that ran in a pass since the last read; got ('relu',). "
        "A functional call (such as torch.nn.functional.relu, or an attention's out_proj) runs no module: name the "
        "tensor with torchreg.Tap. Where the model may skip it, use missing='skip'. Attach before torch.compile."
    )
    with pytest.raises(RuntimeError, match=re.escape(expected)):
        l1_of("relu").apply(Functional(), X)


@covers("a tensor named with `Tap`", "torch")
def test_tap_names_a_functional_activation() -> None:
    """The way out of the error."""
    model = Functional(Tap())
    proven(model, l1_of("relu"), lambda: (task(model(X)), l1(functional.relu(model.layer(X)))), X)


@covers("an inner module that attention reads but never calls", "torch", "RuntimeError: name it with `Tap`")
def test_the_output_projection_of_attention_is_an_error() -> None:
    """``out_proj`` is a module whose weight is used and whose forward is not."""
    model = nn.MultiheadAttention(4, 2, batch_first=True)
    x = torch.randn(2, 3, 4)
    with pytest.raises(RuntimeError, match=re.escape("got ('out_proj',)")):
        l1_of("out_proj").apply(model, x, x, x)


@covers("a fused fast path", "torch")
@pytest.mark.parametrize("pattern", ["layers.*.linear1", "layers.*.self_attn", "layers.*.activation"])
def test_hooks_switch_the_fused_path_of_the_encoder_off(pattern: str) -> None:
    """In eval mode without gradients PyTorch fuses the layer, in which no inner module would run."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, activation=nn.ReLU(), batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    x = torch.randn(2, 3, 4)
    trained = l1_of(pattern).apply(model, x)[1].total
    model.eval()
    with torch.no_grad():
        fused = l1_of(pattern).apply(model, x)[1].total
    torch.testing.assert_close(fused, trained.detach(), rtol=1e-5, atol=0)


def test_an_activation_function_of_the_encoder_is_no_module() -> None:
    """``activation="relu"`` is a function: nothing has that name, and the nearest names are listed."""
    model = nn.TransformerEncoderLayer(4, 2, 8, activation="relu", batch_first=True)
    with pytest.raises(LookupError, match="activation"):
        l1_of("activation").apply(model, torch.randn(2, 3, 4))


@covers("a module that a pass may skip", "torch")
def test_missing_skip_takes_what_ran() -> None:
    """A module that did not run adds nothing; one that did counts in full."""

    class Choice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList([nn.Tanh(), nn.Sigmoid()])

        def forward(self, x: Tensor, which: int) -> Tensor:
            return self.experts[which](x)

    reg, choice = l1_of("experts.*", missing="skip"), Choice()
    assert list(reg.apply(choice, X, 1)[1].layers["s"]) == ["experts.1"]
    equal(reg.apply(choice, X, 1)[1].total, l1(X.sigmoid()))
    with pytest.raises(RuntimeError, match=re.escape("got ('experts.0',)")):
        l1_of("experts.*").apply(choice, X, 1)


class Tied(nn.Module):
    """An embedding whose weight is also that of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4, dtype=torch.float64)
        self.head = nn.Linear(4, 7, bias=False, dtype=torch.float64)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embed(tokens))


@covers("a tied parameter", "torch")
def test_a_tied_parameter_counts_once_under_the_alias_that_matches() -> None:
    """Once for ``**``, with the role of either name, and not at all where one alias is excluded."""
    model, tokens = Tied(), torch.tensor([[1, 2]])
    weight = model.embed.weight
    for target in (params(), params(role="kernel"), params(role="embedding"), params("head.weight")):
        equal(Regularizer(L1(1.0).on(target)).apply(model, tokens)[1].total, l1(weight))
    with pytest.raises(LookupError, match="excluded"):
        Regularizer(L1(1.0).on(params("embed.*", exclude="head.*"))).apply(model, tokens)


@covers("a frozen parameter", "torch")
def test_a_frozen_parameter_counts_as_a_constant() -> None:
    """It is in the value and gets no gradient; nothing raises."""
    model = Net()
    model.a.weight.requires_grad_(False)
    reg = Regularizer(L2(1.0).on(params(role="kernel")))
    total = reg.apply(model, X)[1].total
    equal(total, model.a.weight.square().sum() + model.b.weight.square().sum())
    total.backward()
    assert model.a.weight.grad is None
    assert model.b.weight.grad is not None
    equal(model.b.weight.grad, 2 * model.b.weight)


@covers("a parametrised weight", "torch")
@pytest.mark.parametrize("name", ["orthogonal", "weight_norm", "spectral_norm"])
def test_a_parametrised_weight_has_the_role_of_the_name_it_computes(name: str) -> None:
    """The originals are kernels, their penalty has gradients, and activations are as in the plain module."""
    model = Net()
    getattr(parametrizations, name)(model.a)
    reg = Regularizer(L1(1.0).on(params("a.**", role="kernel"), name="w"), L1(1.0).on(activations("a", per="batch")))
    originals = [p for path, p in model.a.named_parameters() if "parametrizations.weight" in path]
    assert originals
    model.eval()  # spectral_norm moves its vectors in training mode
    penalties = reg.apply(model, X)[1]
    equal(penalties.terms["w"], torch.stack([l1(p) for p in originals]).sum())
    equal(penalties.terms["L1"], l1(model.a(X)))
    penalties.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in originals)
