"""What a comparison is given, what it gates and what it says: pairing, regularizers, dtypes, losses, the table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parity_tests.twin_tests.common import MLP, linen_mlp, needs_both, nnx_mlp, numbers, torch_mlp


@pytest.fixture(autouse=True)
def both_frameworks() -> None:
    """Every test here needs both."""
    needs_both()


def config(pattern: str) -> dict[str, Any]:
    """One activation term."""
    target = {"is": "activations", "pattern": pattern}
    return {"twinreg": 1, "terms": [{"name": "sparse", "penalty": {"is": "L1", "strength": 0.5}, "target": target}]}


def test_one_config_for_both_with_the_patterns_that_differ() -> None:
    """Terms and total are compared; a config that means another layer is a difference of the penalty alone."""
    from parity_tests.twin import Sides, compare

    given = {"regularizer": config("second"), "steps": 0}
    report = compare(torch_mlp(), linen_mlp(), numbers(5, 3), patterns={"second": "Dense_1"}, **given)
    assert report.ok, str(report)
    assert [row.torch for row in report.rows if row.stage == "penalty"] == ["sparse", "(total)"]
    unlike = Sides(config("second"), config("Dense_2"))
    found = compare(torch_mlp(), linen_mlp(), numbers(5, 3), regularizer=unlike, steps=0).first_difference
    assert found is not None
    assert (found.stage, found.layer) == ("penalty", "sparse")
    assert found.note.endswith("torch alone has second; flax alone has Dense_2")


def test_regularizers_of_the_callers_own() -> None:
    """One of each package; a term that one side lacks is a difference."""
    import jaxreg
    import torchreg
    from parity_tests.twin import Sides, compare

    def made(package: Any, *names: str) -> Any:
        return package.Regularizer(*(package.L2(0.1).on(package.params(role="kernel"), name=name) for name in names))

    both = Sides(made(torchreg, "decay"), made(jaxreg, "decay"))
    report = compare(torch_mlp(), nnx_mlp(), numbers(5, 3), regularizer=both, optimizer="sgd", rate=0.1, steps=2)
    assert report.ok, str(report)
    assert {row.torch for row in report.rows if row.stage == "step"} == {"sgd 1", "sgd 2"}
    unlike = Sides(made(torchreg, "decay", "more"), made(jaxreg, "decay"))
    report = compare(torch_mlp(), nnx_mlp(), numbers(5, 3), regularizer=unlike, steps=0)
    assert report.first_difference is not None
    assert (report.first_difference.layer, report.first_difference.error) == ("more", math.inf)
    assert report.first_difference.note == "flax has no such term"


def test_float32_gates_the_first_step_only() -> None:
    """Everything lies within 1e-6; the steps behind the first are shown and not gated."""
    from parity_tests.twin import compare

    report = compare(torch_mlp(), nnx_mlp(), numbers(5, 3), dtype="float32", steps=3)
    assert report.ok, str(report)
    steps = [row for row in report.rows if row.stage == "step"]
    assert [row.bound for row in steps] == [1e-6, None, None]
    assert any(row.error and row.error > 1e-12 for row in report.rows)


def test_a_trajectory_is_gated_by_its_own_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate that differs in its eighth digit is found; what is allowed grows by the step, to 1e-6 at most."""
    from parity_tests.twin import compare
    from parity_tests.twin.flax_side import FlaxSide

    given = {"optimizer": "sgd", "rate": 0.1, "steps": 4}
    bounds = [
        row.bound or 0.0 for row in compare(torch_mlp(), nnx_mlp(), numbers(5, 3), **given).rows if row.stage == "step"
    ]
    assert all(1e-12 < bound <= 1e-6 for bound in bounds)
    assert bounds == sorted(bounds)
    train = FlaxSide.train
    monkeypatch.setattr(
        FlaxSide, "train", lambda self, *args, rate, **how: train(self, *args, rate=rate * (1 + 1e-8), **how)
    )
    found = compare(torch_mlp(), nnx_mlp(), numbers(5, 3), **given).first_difference
    assert found is not None
    assert (found.stage, found.layer) == ("step", "sgd 1")


def test_a_wrong_gradient_is_found_in_its_layer() -> None:
    """A ``stop_gradient`` changes no value: the first difference is a gradient, of the first layer in front of it."""
    import jax
    from flax import linen

    from parity_tests.twin import compare

    class Stopped(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            hidden = jax.lax.stop_gradient(linen.LayerNorm()(linen.Dense(4)(x)))
            return linen.Dense(4)(jax.numpy.tanh(linen.Dense(4)(linen.gelu(hidden))))

    found = compare(torch_mlp(), Stopped(), numbers(5, 3), steps=0).first_difference
    assert found is not None
    assert (found.stage, found.layer, found.twin) == ("gradient", "first", "Dense_0")
    assert found.note == "most of it in first.weight"


def test_layers_are_paired_by_name_where_order_would_pair_others() -> None:
    """Two branches in another order: by order the outputs differ, by name they are equal."""
    import torch
    from flax import nnx

    from parity_tests.twin import compare

    class Ours(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4)

        def forward(self, x: Any) -> Any:
            return self.left(x) - 2 * self.right(x)

    class Theirs(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.one, self.two = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(3, 4, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return -2 * self.one(x) + self.two(x)

    model, twin, x = Ours(), Theirs(nnx.Rngs(0)), numbers(5, 3)
    assert not compare(model, twin, x, steps=0).ok
    assert compare(model, twin, x, steps=0, names={"right": "one"}).ok


def test_layers_that_cannot_be_paired_are_listed() -> None:
    """Another number of layers of a kind, another shape, a name that nothing has: each an error that says so."""
    import torch

    from parity_tests.twin import PortError, port

    model, x = torch_mlp(), numbers(5, 3)
    short = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 4))
    with pytest.raises(
        PortError, match=r"there are 2 and 3 of them\. torch: 0 \(Linear\), 1 \(Linear\)\. flax: Dense_0"
    ):
        port(short, linen_mlp(), x)
    wide = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 5), torch.nn.Linear(5, 4)
    )
    expected = r"2\.weight \(5, 4\) of the pair 2 = Dense_1 must make flax's Dense_1\.kernel of shape \(4, 4\)"
    with pytest.raises(PortError, match=expected):
        port(wide, linen_mlp(), x)
    with pytest.raises(PortError, match="torch has none that is called 'nobody'"):
        port(model, linen_mlp(), x, names={"nobody": "Dense_0.bias"})


def test_parameters_that_are_ignored_are_named() -> None:
    """``ignore`` leaves out by pattern, and the report says what."""
    from parity_tests.twin import compare

    report = compare(torch_mlp(bias=True), linen_mlp(bias=False), numbers(5, 3), ignore=("second.b*",), steps=0)
    assert "torch: second.bias: ignored, as asked." in report.notes
    assert report.first_difference is not None
    assert report.first_difference.layer == "second"


def test_the_table_and_the_summary() -> None:
    """Every row is a line with its verdict; the last line says what is equal, or the first that is not."""
    from parity_tests.twin import compare

    equal = str(compare(torch_mlp(), linen_mlp(), numbers(5, 3), steps=0)).splitlines()
    assert equal[0].split() == ["what", "torch", "flax", "shape", "error", "bound", "verdict"]
    assert sum(line.endswith("equal") for line in equal) == len(equal) - 3
    assert equal[-1].startswith("equal: 8 torch arrays as 8 flax arrays, float64; worst: ")
    unlike = str(compare(torch_mlp(eps=1e-3), linen_mlp(), numbers(5, 3), steps=0)).splitlines()
    assert unlike[-1].startswith("DIFFERENT: ")
    assert "first: layer norm (flax: LayerNorm_0): error" in unlike[-1]
    assert "norm: eps is 0.001 in torch and 1e-06 in flax." in "\n".join(unlike)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"batch": [1.0]}, TypeError, "batch must be a NumPy array"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of 'float64', 'float32'; got 'float16'"),
        ({"steps": -1}, ValueError, "steps must be an integer >= 0; got -1"),
        ({"rate": 0.0}, ValueError, "rate must be a float > 0; got 0.0"),
        ({"optimizer": "lion"}, ValueError, "optimizer must be one of 'adam', 'sgd'"),
        ({"regularizer": 3}, TypeError, "the regularizer for torch must be a torchreg.Regularizer or a config"),
        ({"regularizer": config("second"), "patterns": {"third": "x"}}, LookupError, r"patterns that the config has"),
        ({"output": lambda found: ()}, ValueError, r"output must be given where the models do not return .*\(0, 0\)"),
    ],
)
def test_arguments_are_checked(given: dict[str, Any], error: type[Exception], message: str) -> None:
    """One sentence names the argument."""
    from parity_tests.twin import compare

    with pytest.raises(error, match=message):
        compare(torch_mlp(), linen_mlp(), **{"batch": numbers(5, 3), "steps": 0, **given})


def test_models_are_of_the_right_side() -> None:
    """A flax model in torch's place, or the other way round."""
    from parity_tests.twin import compare

    with pytest.raises(TypeError, match=r"torch_model must be a torch\.nn\.Module"):
        compare(linen_mlp(), linen_mlp(), numbers(5, 3))
    with pytest.raises(TypeError, match=r"flax_model must be a flax\.linen\.Module or a flax\.nnx\.Module"):
        compare(torch_mlp(), torch_mlp(), numbers(5, 3))


def test_a_loss_of_the_callers_own() -> None:
    """One for each side, called with what the model returns."""
    from parity_tests.twin import Sides, compare

    loss = Sides(lambda y: (y**4).mean(), lambda y: (y**4).mean())
    report = compare(torch_mlp(), MLP["nnx"](), numbers(5, 3), loss=loss, steps=1)
    assert report.ok, str(report)
    unlike = Sides(loss.torch, lambda y: (y**4).sum())
    found = compare(torch_mlp(), MLP["nnx"](), numbers(5, 3), loss=unlike, steps=0).first_difference
    assert found is not None
    assert found.stage == "loss"


def test_errors_are_relative_and_nothing_is_hidden() -> None:
    """NaN is equal to NaN alone; zero needs zero; the scale is the largest element."""
    from parity_tests.twin.measured import largest, norm

    assert largest(np.array([1.0, np.nan]), np.array([1.0, np.nan])) == 0.0
    assert largest(np.array([1.0, 2.0]), np.array([1.0, np.nan])) == math.inf
    assert largest(np.array([np.inf]), np.array([np.inf])) == 0.0
    assert largest(np.array([np.inf]), np.array([-np.inf])) == math.inf
    assert largest(np.array([1e-300]), np.array([0.0])) == math.inf
    assert largest(np.array([4.0, 1.0]), np.array([4.0, 2.0])) == 0.25
    assert largest(np.zeros(0), np.zeros(0)) == 0.0
    assert norm([np.array([3e200]), np.array([4e200])]) == pytest.approx(5e200, rel=1e-15)
