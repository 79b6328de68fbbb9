"""Every porting rule: one layer in both frameworks gives the same output and, in one layout, the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from parity_tests.twin_tests.common import last, needs_both, numbers


@pytest.fixture(autouse=True)
def both_frameworks() -> None:
    """Every test here needs both."""
    needs_both()


@dataclass(frozen=True)
class Case:
    """A torch layer, its twins (called with ``linen``, or with ``nnx`` and its rngs), and a batch in torch's axes."""

    torch: Callable[[Any], Any]
    linen: Callable[[Any], Any] | None
    nnx: Callable[[Any, Any], Any] | None
    batch: np.ndarray
    images: bool = True


def _vectors(*shape: int) -> np.ndarray:
    return numbers(*shape)


TOKENS = np.array([[1, 4, 0], [6, 6, 2]])
CASES = {
    "linear": Case(
        lambda nn: nn.Linear(3, 4),
        lambda nn: nn.Dense(4),
        lambda nn, r: nn.Linear(3, 4, rngs=r),
        _vectors(5, 3),
    ),
    "linear with heads": Case(
        lambda nn: nn.Linear(3, 6),
        lambda nn: nn.DenseGeneral((6,)),
        lambda nn, r: nn.LinearGeneral(3, (6,), rngs=r),
        _vectors(5, 3),
    ),
    "embedding": Case(
        lambda nn: nn.Embedding(7, 3),
        lambda nn: nn.Embed(7, 3),
        lambda nn, r: nn.Embed(7, 3, rngs=r),
        TOKENS,
    ),
    "convolution": Case(
        lambda nn: nn.Conv2d(3, 4, (2, 3), stride=(2, 1), padding=1),
        lambda nn: nn.Conv(4, (2, 3), (2, 1), padding=1),
        lambda nn, r: nn.Conv(3, 4, (2, 3), (2, 1), padding=1, rngs=r),
        _vectors(2, 3, 6, 5),
    ),
    "grouped, dilated convolution": Case(
        lambda nn: nn.Conv1d(6, 4, 3, dilation=2, groups=2),
        lambda nn: nn.Conv(4, (3,), padding="VALID", kernel_dilation=2, feature_group_count=2),
        lambda nn, r: nn.Conv(6, 4, (3,), padding="VALID", kernel_dilation=2, feature_group_count=2, rngs=r),
        _vectors(2, 6, 9),
    ),
    "convolution of volumes": Case(
        lambda nn: nn.Conv3d(2, 3, 2, bias=False),
        lambda nn: nn.Conv(3, (2, 2, 2), padding="VALID", use_bias=False),
        lambda nn, r: nn.Conv(2, 3, (2, 2, 2), padding="VALID", use_bias=False, rngs=r),
        _vectors(2, 2, 3, 4, 3),
    ),
    "transposed convolution": Case(
        lambda nn: nn.ConvTranspose2d(3, 4, 3, stride=2),
        lambda nn: nn.ConvTranspose(4, (3, 3), (2, 2), padding="VALID"),
        lambda nn, r: nn.ConvTranspose(3, 4, (3, 3), (2, 2), padding="VALID", rngs=r),
        _vectors(2, 3, 4, 5),
    ),
    "transposed convolution, transposed kernel": Case(
        lambda nn: nn.ConvTranspose1d(3, 4, 3, stride=2),
        lambda nn: nn.ConvTranspose(4, (3,), (2,), padding="VALID", transpose_kernel=True),
        lambda nn, r: nn.ConvTranspose(3, 4, (3,), (2,), padding="VALID", transpose_kernel=True, rngs=r),
        _vectors(2, 3, 5),
    ),
    "batch norm": Case(
        lambda nn: nn.BatchNorm2d(3),
        lambda nn: nn.BatchNorm(use_running_average=True, epsilon=1e-5, momentum=0.9),
        lambda nn, r: nn.BatchNorm(3, epsilon=1e-5, momentum=0.9, rngs=r),
        _vectors(4, 3, 2, 2),
    ),
    "layer norm": Case(
        lambda nn: nn.LayerNorm(6, eps=1e-6),
        lambda nn: nn.LayerNorm(),
        lambda nn, r: nn.LayerNorm(6, rngs=r),
        _vectors(4, 6),
    ),
    "group norm": Case(
        lambda nn: nn.GroupNorm(2, 6, eps=1e-6),
        lambda nn: nn.GroupNorm(2),
        lambda nn, r: nn.GroupNorm(6, 2, rngs=r),
        _vectors(3, 6, 4),
    ),
    "root mean square norm": Case(
        lambda nn: nn.RMSNorm(6, eps=1e-6),
        lambda nn: nn.RMSNorm(),
        lambda nn, r: nn.RMSNorm(6, rngs=r),
        _vectors(4, 6),
    ),
    "instance norm": Case(
        lambda nn: nn.InstanceNorm1d(3, affine=True), lambda nn: nn.InstanceNorm(epsilon=1e-5), None, _vectors(2, 3, 5)
    ),
    "simple cell": Case(
        lambda nn: nn.RNN(3, 4, batch_first=True),
        lambda nn: nn.RNN(nn.SimpleCell(4)),
        lambda nn, r: nn.RNN(nn.SimpleCell(3, 4, rngs=r), rngs=r),
        _vectors(2, 5, 3),
        images=False,
    ),
    "LSTM": Case(
        lambda nn: nn.LSTM(3, 4, batch_first=True),
        lambda nn: nn.RNN(nn.OptimizedLSTMCell(4)),
        lambda nn, r: nn.RNN(nn.OptimizedLSTMCell(3, 4, rngs=r), rngs=r),
        _vectors(2, 5, 3),
        images=False,
    ),
    "LSTM, a layer for each gate": Case(
        lambda nn: nn.LSTM(3, 4, batch_first=True, bias=False),
        lambda nn: nn.RNN(nn.LSTMCell(4)),
        lambda nn, r: nn.RNN(nn.LSTMCell(3, 4, rngs=r), rngs=r),
        _vectors(2, 5, 3),
        images=False,
    ),
    "GRU": Case(
        lambda nn: nn.GRU(3, 4, batch_first=True),
        lambda nn: nn.RNN(nn.GRUCell(4)),
        None,
        _vectors(2, 5, 3),
        images=False,
    ),
    "GRU without biases": Case(
        lambda nn: nn.GRU(3, 4, batch_first=True, bias=False),
        lambda nn: nn.RNN(nn.GRUCell(4)),
        lambda nn, r: nn.RNN(nn.GRUCell(3, 4, rngs=r), rngs=r),
        _vectors(2, 5, 3),
        images=False,
    ),
    "LSTM in two layers and directions": Case(
        lambda nn: nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
        lambda nn: nn.Sequential(
            [nn.Bidirectional(*(nn.RNN(nn.OptimizedLSTMCell(4)) for _ in range(2))) for _ in range(2)]
        ),
        lambda nn, r: nn.Sequential(
            *(
                nn.Bidirectional(*(nn.RNN(nn.OptimizedLSTMCell(n, 4, rngs=r), rngs=r) for _ in range(2)), rngs=r)
                for n in (3, 8)
            )
        ),
        _vectors(2, 5, 3),
        images=False,
    ),
}
PAIRS = [(name, world) for name, case in CASES.items() for world in ("linen", "nnx") if getattr(case, world)]


def shaken(model: Any) -> Any:
    """Parameters and statistics that no initialiser would give: every bias counts."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.3 * torch.rand_like(value))
    return model


@pytest.mark.parametrize(("name", "world"), PAIRS)
def test_a_layer_and_its_twin(name: str, world: str) -> None:
    """Weights, output and gradient; of recurrent layers, whose biases are summed, two steps, and their first output."""
    import torch
    from flax import linen, nnx

    from parity_tests.twin import Sides, compare

    case = CASES[name]
    model = shaken(case.torch(torch.nn))
    twin = case.linen(linen) if world == "linen" else case.nnx(nnx, nnx.Rngs(0))  # pyright: ignore[reportOptionalCall]
    batch = Sides(case.batch, last(case.batch)) if case.images and case.batch.ndim > 2 else case.batch
    output = None if case.images else Sides(lambda found: found[0], lambda found: found)
    if case.images and case.batch.ndim > 2:
        output = Sides(lambda found: found.movedim(1, -1), lambda found: found)
    report = compare(model, twin, batch, output=output, steps=0 if case.images else 2, optimizer="sgd", rate=0.1)
    assert report.ok, str(report)
    stages = {row.stage for row in report.rows if row.error is not None}
    assert stages == {"layer", "output", "loss", "gradient"} | (set() if case.images else {"step"}), str(report)


@pytest.mark.parametrize("world", ["linen", "nnx"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_and_its_twin(world: str, batch_first: bool) -> None:
    """Fused projections; of a time-first module the inputs and outputs are turned."""
    import torch
    from flax import linen, nnx

    from parity_tests.twin import Sides, compare

    model = shaken(torch.nn.MultiheadAttention(6, 2, batch_first=batch_first))
    if world == "linen":
        twin: Any = linen.MultiHeadDotProductAttention(2, qkv_features=6, deterministic=True)
    else:
        twin = nnx.MultiHeadAttention(2, 6, decode=False, rngs=nnx.Rngs(0))
    x = numbers(2, 5, 6)
    ours = x if batch_first else x.swapaxes(0, 1)
    output = Sides(lambda found: found[0] if batch_first else found[0].swapaxes(0, 1), lambda found: found)
    report = compare(model, twin, Sides((ours, ours, ours), (x, x, x)), output=output, steps=1)
    assert report.ok, str(report)
    assert any("softmax in float32" in note for note in report.notes) == (world == "nnx")


def test_projections_of_other_widths() -> None:
    """Keys and values of their own widths have weights of their own."""
    import torch
    from flax import linen

    from parity_tests.twin import Sides, compare

    model = shaken(torch.nn.MultiheadAttention(6, 2, kdim=4, vdim=3, batch_first=True))
    twin = linen.MultiHeadDotProductAttention(2, qkv_features=6, deterministic=True)
    batch = (numbers(2, 5, 6), numbers(2, 4, 4, seed=1), numbers(2, 4, 3, seed=2))
    report = compare(model, twin, batch, output=Sides(lambda found: found[0], lambda found: found), steps=0)
    assert report.ok, str(report)


def test_a_recurrent_bias_inside_the_reset_gate_has_no_place_in_nnx() -> None:
    """A typed error says what cannot be represented; where the bias is zero it is held there in training."""
    import torch
    from flax import nnx

    from parity_tests.twin import PortError, Sides, compare

    model = shaken(torch.nn.GRU(3, 4, batch_first=True))
    twin = nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    output = Sides(lambda found: found[0], lambda found: found)
    expected = r"bias_hh_l0 must be zero where nnx\.GRUCell has no recurrent bias inside its reset gate"
    with pytest.raises(PortError, match=expected):
        compare(model, twin, numbers(2, 5, 3), output=output)
    with torch.no_grad():
        model.bias_hh_l0[8:] = 0
    report = compare(model, twin, numbers(2, 5, 3), output=output, steps=3)
    assert report.ok, str(report)
    assert any("bias_hh_l0" in note and "held" in note for note in report.notes)


def test_groups_that_flax_has_not() -> None:
    """A grouped transposed convolution is an error that says so."""
    import torch
    from flax import linen

    from parity_tests.twin import PortError, Sides, port

    x = numbers(2, 4, 5)
    with pytest.raises(PortError, match="ConvTranspose1d must be of groups 1 for flax's ConvTranspose"):
        port(torch.nn.ConvTranspose1d(4, 6, 3, groups=2), linen.ConvTranspose(6, (3,)), Sides(x, last(x)))


def test_batch_statistics_in_training_mode() -> None:
    """In training mode both use the statistics of the batch."""
    import torch
    from flax import nnx

    from parity_tests.twin import compare

    model = shaken(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)))
    twin = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.BatchNorm(4, epsilon=1e-5, rngs=nnx.Rngs(0)))
    assert compare(model, twin, numbers(6, 3), train=True, steps=2).ok
    dropping = torch.nn.Sequential(*model, torch.nn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"the dropout of 2 must be 0 where train=True"):
        compare(dropping, twin, numbers(6, 3), train=True)
