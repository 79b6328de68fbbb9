"""``describe`` tells all that a regularizer matches, and what it leaves out and why; ``combine`` joins pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity_tests.backends import package, require


def _regularizer(reg: Any, weight: str, act: str) -> Any:
    return reg.Regularizer(
        reg.L2(0.5).on(reg.params(role="kernel", exclude=f"head.{weight}"), name="decay"),
        reg.L1(0.5).on(reg.activations(act), name="sparsity"),
    )


def _lines(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """The printed rows by the name in them, as words."""
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    names = ("body", "head", "act")
    return {next(word for word in row if word.split(".")[0] in names): row for row in rows}


def test_torch(capsys: pytest.CaptureFixture[str]) -> None:
    """Shapes, canonical axes, roles, what is frozen, tied, excluded or of another role."""
    require("torch")
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.act, self.head = nn.Conv1d(2, 3, 4), nn.ReLU(), nn.Linear(3, 2)
            self.body_again = self.body
            self.body.weight.requires_grad_(False)

        def forward(self, x: Any) -> Any:
            return x

    _regularizer(package("torch"), "weight", "act").describe(Model())
    out = capsys.readouterr().out
    assert "body.weight" in out
    found = {line.split()[0] if line.startswith(" ") else line.split()[2]: line for line in out.splitlines()[2:]}
    assert "3×2×4" in found["body.weight"]
    assert "out, in, k0" in found["body.weight"]
    assert "frozen" in found["body.weight"]
    assert found["body_again.weight"].endswith("left out: tied to body.weight")
    assert found["head.weight"].endswith("left out: excluded")
    assert found["head.bias"].endswith("left out: role is bias")
    assert "output of ReLU" in found["act"]


def test_the_output_of_a_linear_layer(capsys: pytest.CaptureFixture[str]) -> None:
    """Before a pass it has samples, which an input without them would not have."""
    require("torch")
    from torch import nn

    reg = package("torch")
    reg.Regularizer(reg.L1(1.0).on(reg.activations("0"))).describe(nn.Sequential(nn.Linear(3, 2)))
    assert "sample, ..., feature  output of Linear" in capsys.readouterr().out


def test_linen(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for a linen model, whose modules are found by tracing it with its inputs."""
    require("jax")
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    from jaxreg.linen import Tap

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = Tap(name="act")(nn.relu(nn.Conv(3, (4,), name="body")(x)))
            return nn.Dense(2, name="head")(x)

    x = jnp.ones((1, 5, 2))
    variables = Model().init(jax.random.key(0), x)
    _regularizer(package("jax"), "kernel", "act").describe(Model(), variables, x)
    found = _lines(capsys)
    assert "4×2×3" in found["body.kernel"]
    assert "out, in, k0" in " ".join(found["body.kernel"])
    assert found["head.kernel"][-3:] == ["left", "out:", "excluded"]
    assert found["head.bias"][-5:] == ["left", "out:", "role", "is", "bias"]
    assert found["act"][-4:] == ["output", "of", "Tap", "-"]


def test_nnx(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for an nnx model."""
    require("jax")
    from flax import nnx

    from jaxreg.nnx import Tap

    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.body, self.act = nnx.Conv(2, 3, (4,), rngs=rngs), Tap()
            self.head = nnx.Linear(3, 2, rngs=rngs)

    _regularizer(package("jax"), "kernel", "act").describe(Model(nnx.Rngs(0)))
    found = _lines(capsys)
    assert "4×2×3" in found["body.kernel"]
    assert found["head.kernel"][-3:] == ["left", "out:", "excluded"]
    reg = package("jax")
    reg.Regularizer(reg.L1(1.0).on(reg.activations("head"))).describe(Model(nnx.Rngs(0)))
    assert "sample, ..., feature  output of Linear" in capsys.readouterr().out


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_model_of_another_kind_is_refused(framework: str) -> None:
    """What is no model is a TypeError."""
    reg = package(framework)
    with pytest.raises(TypeError, match=r"Regularizer\.describe: model must be a"):
        reg.Regularizer(reg.L1(1.0).on(reg.params())).describe([1, 2])


def test_pieces_join_by_sum_or_mean() -> None:
    """The four gates of an LSTM: their mean is a fourth of their sum."""
    require("torch")
    import torch

    reg = package("torch")
    model: Any = torch.nn.LSTM(3, 5).double()
    regularizer = reg.Regularizer(
        *(reg.L2Norm(1.0).on(reg.params("weight_ih_l0", combine=how), name=how) for how in ("sum", "mean")),
        reg.L1(1.0).on(reg.params("weight_ih_l0", combine="mean"), name="mean of sums"),
    )
    terms = regularizer.apply(model, torch.ones(2, 1, 3, dtype=torch.float64))[1].terms
    gates = sum(gate.square().sum().sqrt() for gate in model.weight_ih_l0.chunk(4))
    torch.testing.assert_close(terms["sum"], gates, rtol=1e-13, atol=0)
    torch.testing.assert_close(terms["mean"], gates / 4, rtol=1e-13, atol=0)
    torch.testing.assert_close(terms["mean of sums"], model.weight_ih_l0.abs().sum() / 4, rtol=1e-13, atol=0)


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_mean_is_of_as_many_pieces_as_there_are(framework: str, pieces: int) -> None:
    """Stated pieces of the kernel of a dense layer, in both frameworks."""
    require(framework)
    reg, weight = package(framework), np.random.default_rng(pieces).normal(size=(6, 3))
    axes = (f"piece:{pieces}*out", "in") if framework == "torch" else ("in", f"piece:{pieces}*out")
    kernel = {how: reg.params("*", role="kernel", layout=axes, combine=how) for how in ("sum", "mean")}
    regularizer = reg.Regularizer(*(reg.L2Norm(1.0).on(target, name=how) for how, target in kernel.items()))
    if framework == "torch":
        import torch

        model: Any = torch.nn.Linear(3, 6, bias=False).double()
        model.weight.data = torch.from_numpy(weight)
        terms = regularizer.apply(model, torch.ones(2, 3, dtype=torch.float64))[1].terms
    else:
        import jax
        from flax import linen

        with jax.enable_x64(True):
            variables = {"params": {"kernel": jax.numpy.asarray(weight.T)}}
            terms = regularizer.apply(linen.Dense(6, use_bias=False), variables, jax.numpy.ones((2, 3)))[1].terms
    due = sum(np.linalg.norm(piece) for piece in np.split(weight, pieces))
    np.testing.assert_allclose(terms["sum"].item(), due, rtol=1e-6)
    np.testing.assert_allclose(terms["mean"].item(), due / pieces, rtol=1e-6)
