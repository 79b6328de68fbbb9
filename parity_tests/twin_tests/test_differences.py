"""A model with one fault: the report names the layer where it is, and is silent about a model without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity_tests.twin_tests.common import MLP, SECOND, linen_mlp, needs_both, nnx_mlp, numbers, torch_mlp

WORLDS = ("linen", "nnx")


@pytest.fixture(autouse=True)
def both_frameworks() -> None:
    """Every test here needs both."""
    needs_both()


@pytest.mark.parametrize("world", WORLDS)
def test_equal_twins_are_equal(world: str) -> None:
    """No row differs, ``check`` raises nothing, and the errors are roundings."""
    from parity_tests.twin import compare

    report = compare(torch_mlp(), MLP[world](), numbers(5, 3), steps=3)
    assert report.ok
    assert report.first_difference is None
    report.check()
    stages = {row.stage for row in report.rows}
    assert stages == {"layer", "output", "loss", "gradient", "step"}
    assert all(row.error is not None and row.error < 1e-13 for row in report.rows)


@pytest.mark.parametrize("world", WORLDS)
def test_a_wrong_eps_is_found_in_its_norm(world: str) -> None:
    """The norm is the first to differ, its inputs are equal, and the two settings are named."""
    from parity_tests.twin import compare

    report = compare(torch_mlp(eps=1e-5), MLP[world](), numbers(5, 3), steps=0)
    found = report.first_difference
    assert found is not None
    assert (found.stage, found.layer) == ("layer", "norm")
    assert 1e-8 < found.error < 1e-3
    assert "its inputs are equal" in found.note
    assert "eps 1e-05 and 1e-06" in found.note
    with pytest.raises(AssertionError, match=r"the twins differ first in layer norm\b.*error \d\.\d+e-0\d"):
        report.check()


@pytest.mark.parametrize("world", WORLDS)
def test_a_wrong_gelu_is_found_between_the_layers_around_it(world: str) -> None:
    """No layer differs, but the input of the one behind the function: the report names it and the one before."""
    from parity_tests.twin import compare

    report = compare(torch_mlp(), MLP[world](approximate=False), numbers(5, 3), steps=0)
    found = report.first_difference
    assert found is not None
    assert (found.stage, found.layer, found.twin) == ("layer", "second", SECOND[world])
    assert found.note == "after norm, before this layer: its input differs already"


@pytest.mark.parametrize("fault", ["weight", "transposed"])
@pytest.mark.parametrize("world", WORLDS)
def test_a_wrong_kernel_is_found_in_its_layer(world: str, fault: str) -> None:
    """In a model that already holds the weights, one element that is off or a square kernel that is transposed."""
    from parity_tests.twin import compare, port

    torch_model, flax_model = torch_mlp(), MLP[world]()
    ported = port(torch_model, flax_model, numbers(5, 3))
    kernel = ported["params"]["Dense_1"]["kernel"] if world == "linen" else ported.second.kernel[...]
    wrong = kernel.T if fault == "transposed" else kernel.at[1, 2].add(0.01)
    if world == "linen":
        ported["params"]["Dense_1"]["kernel"] = wrong
        report = compare(torch_model, flax_model, numbers(5, 3), variables=ported, weights="given", steps=0)
    else:
        ported.second.kernel[...] = wrong
        report = compare(torch_model, ported, numbers(5, 3), weights="given", steps=0)
    found = report.first_difference
    assert found is not None
    assert (found.stage, found.layer, found.twin) == ("weights", "second", SECOND[world])
    layers = [row for row in report.rows if row.stage == "layer" and not row.ok]
    assert layers[0].torch == "second"
    assert "its inputs are equal" in layers[0].note


def test_a_wrong_rule_is_found_in_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that forgets to transpose a square kernel: the weights are as the rule says, the output is not."""
    from flax import linen
    from torch import nn

    from parity_tests.twin import compare, moved, registry, rule

    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))

    class Forgotten(nn.Linear):
        pass

    @rule(Forgotten, linen.Dense)
    def forgotten(ours: Any, theirs: Any) -> Any:
        yield moved("weight", "kernel")
        yield moved("bias", "bias")

    model = torch_mlp()
    model.second.__class__ = Forgotten
    found = compare(model, linen_mlp(), numbers(5, 3), steps=0).first_difference
    assert found is not None
    assert (found.stage, found.layer, found.twin) == ("layer", "second", "Dense_1")


def test_a_missing_bias_is_an_error_that_names_it() -> None:
    """Nothing is ported where a parameter has no place."""
    from parity_tests.twin import PortError, compare

    with pytest.raises(PortError, match=r"left over: torch: second\.bias \(4\)\. Pairs: .*second = Dense_1") as caught:
        compare(torch_mlp(), linen_mlp(bias=False), numbers(5, 3), steps=0)
    assert caught.value.leftovers == ("torch: second.bias (4)",)
    with pytest.raises(PortError, match=r"left over: flax: Dense_1\.bias \(4\)"):
        compare(torch_mlp(bias=False), linen_mlp(), numbers(5, 3), steps=0)


def test_a_missing_bias_in_models_as_given_is_the_first_difference() -> None:
    """``weights="given"`` compares what there is, and reports what there is not."""
    from parity_tests.twin import compare, port

    variables = port(torch_mlp(), linen_mlp(), numbers(5, 3))
    del variables["params"]["Dense_1"]["bias"]
    twin = linen_mlp(bias=False)
    report = compare(torch_mlp(), twin, numbers(5, 3), variables=variables, weights="given", steps=0)
    found = report.first_difference
    assert found is not None
    assert (found.stage, found.layer, found.twin) == ("weights", "second", "Dense_1")
    assert found.note == "only in torch: second.bias (4)"
    assert next(row.torch for row in report.rows if row.stage == "layer" and not row.ok) == "second"


def test_a_difference_that_no_layer_sees_is_found_in_the_output() -> None:
    """A factor behind the last layer."""
    from flax import linen

    from parity_tests.twin import compare

    class Scaled(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            return 1.001 * linen_mlp()(x)

    found = compare(torch_mlp(), Scaled(), numbers(5, 3), steps=0).first_difference
    assert found is not None
    assert (found.stage, found.layer) == ("output", "(output)")
    assert found.error == pytest.approx(1e-3, rel=1e-6)


def test_neither_model_is_changed() -> None:
    """The caller's weights, dtypes, mode and hooks stay as they are."""
    import jax
    import torch
    from flax import nnx

    from parity_tests.twin import compare

    torch_model, flax_model = torch_mlp().train(), nnx_mlp()
    before = {name: value.clone() for name, value in torch_model.state_dict().items()}
    leaves = [np.array(leaf) for leaf in jax.tree.leaves(nnx.state(flax_model))]
    compare(torch_model, flax_model, numbers(5, 3), steps=2)
    after = torch_model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch_model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in torch_model.modules())
    for old, new in zip(leaves, jax.tree.leaves(nnx.state(flax_model)), strict=True):
        np.testing.assert_array_equal(old, new)
        assert old.dtype == new.dtype
    assert jax.numpy.ones(1).dtype == np.float32
    assert type(flax_model.first) is nnx.Linear
