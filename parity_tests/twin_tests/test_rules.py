"""Every porting rule: one layer in both frameworks gives the same output and, in one layout, the same gradients."""

from __future__ import annotations

from typing import Any

import pytest

from parity_tests.options import FULL
from parity_tests.twin_tests.common import last, needs_both, numbers, shaken
from parity_tests.twin_tests.layers import CASES


@pytest.fixture(autouse=True)
def both_frameworks() -> None:
    """Every test here needs both."""
    needs_both()


PAIRS = [(name, world) for name, case in CASES.items() for world in ("linen", "nnx") if getattr(case, world)]


def _is_repeated(name: str, world: str) -> bool:
    """Whether the layers of the other world, or shorter ones of this, have the same rules."""
    return CASES[name].images if world == "nnx" else name == "LSTM in two layers and directions"


EVERY_PAIR = [pytest.param(*pair, marks=FULL if _is_repeated(*pair) else ()) for pair in PAIRS]


@pytest.mark.parametrize(("name", "world"), EVERY_PAIR)
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
