"""The tables of ``describe`` and of a report, whole: every column of every kind of row."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import package, require

TORCH_TABLE = """
term    penalty            name            shape   axes                  role              elements  note
------  -----------------  --------------  ------  --------------------  ----------------  --------  ----------------------------
decay   L2(strength=0.5)   matrix          2×5     ?, ?                  unknown                 10
                           vector          5       out                   unknown                  5
                           number          scalar                        unknown                  1  frozen: counts as a constant
                           cell.weight_ih  9×2     out, in, 3 pieces     kernel                  18
                           cell.bias_ih    9       out, 3 pieces         bias                     9
                           conv.weight     3×2×4   out, in, k0           kernel                  24
                           cell.weight_hh                                                            left out: excluded
                           cell.bias_hh                                                              left out: excluded
sparse  L1(strength=0.5)   conv            -       sample, feature, ...  output of Conv1d         -
                           act             -       sample, rest unknown  output of ReLU           -
stated  L1(strength=0.25)  act             -       sample, feature       input of ReLU            -
"""  # noqa: E501
NNX_TABLE = """
term    penalty            name                 shape   axes                  role            elements  note
------  -----------------  -------------------  ------  --------------------  --------------  --------  ------------------
decay   L2(strength=0.5)   cell.dense_i.kernel  2×9     out, in, 3 pieces     kernel                18
                           cell.dense_i.bias    9       out, 3 pieces         bias                   9
                           conv.kernel          4×2×3   out, in, k0           kernel                24
                           matrix               2×5     ?, ?                  unknown               10
                           vector               5       out                   unknown                5
                           number               scalar                        unknown                1
                           cell.dense_h.kernel                                                          left out: excluded
sparse  L1(strength=0.5)   conv                 -       sample, ..., feature  output of Conv         -
                           act                  -       sample, ..., feature  output of Tap          -
stated  L1(strength=0.25)  act                  -       sample, feature       input of Tap           -
"""  # noqa: E501


def every_kind_of_row(reg: Any, exclude: str) -> Any:
    """Terms on everything, but for what is excluded, on outputs, and on an input whose axes are stated."""
    return reg.Regularizer(
        reg.L2(0.5).on(reg.params("**", exclude=exclude), name="decay"),
        reg.L1(0.5).on(reg.activations(("act", "conv")), name="sparse"),
        reg.L1(0.25).on(reg.activations("act", of="input", layout=("sample", "feature")), name="stated"),
    )


def torch_rows() -> Any:
    """A torch model with pieces, a kernel, and arrays of three ranks that nobody knows."""
    require("torch")
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.conv, self.act = nn.GRUCell(2, 3), nn.Conv1d(2, 3, 4, bias=False), nn.ReLU()
            self.matrix, self.vector = nn.Parameter(torch.zeros(2, 5)), nn.Parameter(torch.zeros(5))
            self.number = nn.Parameter(torch.zeros(()), requires_grad=False)

    return Model()


def test_the_whole_table_of_torch(capsys: pytest.CaptureFixture[str]) -> None:
    """Every column of every kind of row."""
    every_kind_of_row(package("torch"), "cell.*_hh").describe(torch_rows())
    assert capsys.readouterr().out == TORCH_TABLE[1:]


def test_the_whole_table_of_nnx(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for an nnx model."""
    require("jax")
    import jax.numpy as jnp
    from flax import nnx

    from jaxreg.nnx import Tap

    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.cell = nnx.GRUCell(2, 3, rngs=rngs)
            self.conv, self.act = nnx.Conv(2, 3, (4,), use_bias=False, rngs=rngs), Tap()
            self.matrix, self.vector, self.number = (nnx.Param(jnp.zeros(shape)) for shape in ((2, 5), (5,), ()))

    every_kind_of_row(package("jax"), "cell.*_h.**").describe(Model(nnx.Rngs(0)))
    assert capsys.readouterr().out == NNX_TABLE[1:]


def test_a_terminal_gets_a_table_of_rich(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cells, none cut off or taken for markup, numbers to the right."""
    pytest.importorskip("rich")
    model, reg = torch_rows(), every_kind_of_row(package("torch"), "cell.*_hh")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")  # a dumb one has 80 columns, whatever is said
    monkeypatch.setattr("rich._console", None)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    reg.describe(model)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)  # without what makes a head bold
    bars = [line.replace("┃", "│") for line in printed.splitlines()]
    lines = [line[1:-1].split("│") for line in bars if "│" in line]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert rows[0] == TORCH_TABLE.splitlines()[1].split()
    assert len(rows) == len(TORCH_TABLE.splitlines()) - 2
    assert rows[1] == ["decay", "L2(strength=0.5)", "matrix", "2×5", "?, ?", "unknown", "10", ""]
    assert rows[2] == ["", "", "vector", "5", "out", "unknown", "5", ""]
    assert rows[-1] == ["stated", "L1(strength=0.25)", "act", "-", "sample, feature", "input of ReLU", "-", ""]
    assert lines[1][6].endswith("10 ")
    assert lines[1][2].startswith(" matrix")


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_report_of_values(framework: str) -> None:
    """The term on its first row only; what is not finite is marked."""
    reg = package(framework)
    layers = {"a": {"x": np.float64(1.5), "y": np.float64("nan")}, "b": {"x": np.float64(1e-9)}}
    assert reg.Penalties(None, {}, layers).report().splitlines() == [
        "term  path  value  note",
        "----  ----  -----  ----------",
        "a     x       1.5",
        "      y       nan  not finite",
        "b     x     1e-09",
    ]
