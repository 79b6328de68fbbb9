"""Rules of the caller's own: what one may say, and what is refused before anything is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity_tests.twin_tests.common import needs_both, numbers


@pytest.fixture(autouse=True)
def rules_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here needs both frameworks, and leaves the table of rules as it was."""
    needs_both()
    from parity_tests.twin import registry

    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


def models() -> tuple[Any, Any]:
    """Two projections in torch, one in flax, each with a parameter that the other does not have."""
    import torch
    from flax import nnx

    class Split(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.gate = torch.nn.Linear(3, 4, bias=False), torch.nn.Linear(3, 4, bias=False)
            self.count = torch.nn.Parameter(torch.zeros(2))

        def forward(self, x: Any) -> Any:
            return self.up(x) * torch.sigmoid(self.gate(x)) + self.count.sum()

    class Fused(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.both, self.steps = nnx.Linear(3, 8, use_bias=False, rngs=rngs), nnx.BatchStat(np.full(1, 7.0))

        def __call__(self, x: Any) -> Any:
            both = self.both(x)
            return both[:, :4] * nnx.sigmoid(both[:, 4:])

    torch.manual_seed(0)
    return Split(), Fused(nnx.Rngs(0))


def fused(up: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """The right way."""
    return np.concatenate([up, gate]).T


def with_rule(function: Callable[..., Any], *more: Any) -> tuple[Any, Any]:
    """The models, and a rule that fuses by a function."""
    from parity_tests.twin import moved, rule, unused, zero

    @rule("Split", "Fused")
    def split(ours: Any, theirs: Any) -> Any:
        yield moved(("up.weight", "gate.weight"), "both.kernel", function)
        yield zero("torch", "count", reason="the other model adds nothing")
        yield unused("flax", "steps", reason="the other model does not count")
        yield from more

    return models()


def test_a_rule_by_the_names_of_the_classes() -> None:
    """Several sources are one target; what is zero stays zero in training, and what is unused stays as it is."""
    from parity_tests.twin import compare, port

    ours, theirs = with_rule(fused)
    report = compare(ours, theirs, numbers(5, 3), steps=3)
    assert report.ok, str(report)
    assert any("torch: count" in note and "held there" in note for note in report.notes)
    ported = port(ours, theirs, numbers(5, 3))
    assert ported.steps[...] == 7.0
    np.testing.assert_array_equal(ported.both.kernel[:, :4], ours.up.weight.detach().numpy().T)


def test_a_zero_that_is_none_is_refused() -> None:
    """The error names the parameter and the reason."""
    import torch

    from parity_tests.twin import PortError, port

    ours, theirs = with_rule(fused)
    with torch.no_grad():
        ours.count[0] = 1
    with pytest.raises(PortError, match="count must be zero where the other model adds nothing"):
        port(ours, theirs, numbers(5, 3))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda up, gate: np.concatenate([up, up]).T, r"up\.weight \(4×3, used more than once\), torch: gate\.weight"),
        (lambda up, gate: 0.5 * np.concatenate([up, gate]).T, "or computes new elements"),
        (lambda up, gate: np.concatenate([up, 0 * gate]).T, "or computes new elements"),
        (lambda up, gate: np.concatenate([up, gate]), r"of shape \(3, 8\); got: the rule makes \(8, 3\)"),
        (lambda up, gate: np.concatenate([up, gate.T]), "all the input array dimensions"),
    ],
)
def test_a_rule_that_does_not_rearrange_is_refused(function: Callable[..., Any], message: str) -> None:
    """An element that is used twice or not at all, a number that is computed, another shape."""
    from parity_tests.twin import PortError, port

    ours, theirs = with_rule(function)
    with pytest.raises(PortError, match=message):
        port(ours, theirs, numbers(5, 3))


def test_two_places_for_one_parameter_are_refused() -> None:
    """The second would silently replace the first."""
    from parity_tests.twin import PortError, moved, port

    ours, theirs = with_rule(fused, moved(("up.weight", "gate.weight"), "both.kernel", fused))
    with pytest.raises(PortError, match="another place of the same parameter"):
        port(ours, theirs, numbers(5, 3))


def test_a_rule_is_of_classes_or_names() -> None:
    """An instance is refused."""
    from parity_tests.twin import rule

    with pytest.raises(TypeError, match="torch_type must be a class or a class name; got 3"):
        rule(3, "Dense")  # pyright: ignore[reportArgumentType]
