"""Errors: one whole sentence, written here once, and given by both packages."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import PACKAGES, package

EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
NUMBER = "a finite number >= 0"
GROUPED = ("GroupLasso", "SparseGroupLasso", "ExclusiveLasso", "GroupLinf", "GroupHoyerSquare")
RATIOS = ("Hoyer", "HoyerSquare", "GroupHoyerSquare")
MATRICES = ("Orthogonal", "CosineOrthogonal", "MutualCoherence", "SpectralNorm", "Nuclear", "SpectralIsometry")
STATISTICS = ("Decorrelation", "Covariance", "VarianceHinge", "KLSparsity", "MeanActivation")
VECTORS = ("TemporalL2", "TotalVariation", "NegativeEntropy", "RouterZ", "LoadBalance")
ALONE = ("L1", "L2", "L2Norm", "LinfNorm", *MATRICES, *GROUPED, *RATIOS, *STATISTICS, *VECTORS)
SINGLE: dict[str, str] = dict.fromkeys(ALONE, "strength")
COEFFICIENTS = [*SINGLE.items(), ("ElasticNet", "l1"), ("ElasticNet", "l2"), *((name, "eps") for name in RATIOS)]
CONSTRUCTIONS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    *(
        (name, {argument: value}, kind, f"{name}: {argument} must be {NUMBER}; got {value!r}.")
        for name, argument in COEFFICIENTS
        for value, kind in [
            (-1.0, ValueError),
            (-1, ValueError),
            (float("nan"), ValueError),
            (float("inf"), ValueError),
            (10**400, ValueError),
            ("0.1", TypeError),
            (None, TypeError),
            (True, TypeError),
            (1j, TypeError),
            ([0.1], TypeError),
        ]
    ),
    (
        "Orthogonal",
        {"side": "left"},
        ValueError,
        "Orthogonal: side must be one of 'out', 'in', 'min', 'both'; got 'left'.",
    ),
    ("LoadBalance", {"top_k": 0}, ValueError, "LoadBalance: top_k must be an integer >= 1; got 0."),
    ("Orthogonal", {"side": 0}, TypeError, "Orthogonal: side must be one of 'out', 'in', 'min', 'both'; got 0."),
    ("HoyerSquare", {"over": "all"}, ValueError, "HoyerSquare: over must be one of 'sample', 'batch'; got 'all'."),
    *(
        (name, {"size_weighted": 1}, TypeError, f"{name}: size_weighted must be True or False; got 1.")
        for name in ("GroupLasso", "SparseGroupLasso")
    ),
    *(
        (
            name,
            {"groups": "rows"},
            ValueError,
            f"{name}: groups must be one of 'out', 'in', 'kernel', 'sample', 'position', 'feature', or a tuple of "
            "them; got 'rows'.",
        )
        for name in GROUPED
    ),
]


def complete(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the coefficients that are not under test."""
    needed = {"l1": 0.1, "l2": 0.1} if name == "ElasticNet" else {"strength": 0.1}
    return needed | given


def array(module: ModuleType, value: Any, dtype: str) -> Any:
    """An array of the package's framework."""
    if module.__name__ == "torchreg":
        import torch

        return torch.tensor(value, dtype=getattr(torch, dtype))
    import jax.numpy as jnp

    return jnp.asarray(value, dtype=dtype)


@EVERY_FRAMEWORK
@pytest.mark.parametrize(("name", "given", "kind", "sentence"), CONSTRUCTIONS, ids=lambda item: str(item)[:60])
def test_a_bad_argument_is_refused_at_construction(
    framework: str, name: str, given: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    """TypeError for a wrong kind, ValueError for a wrong value, the same whole sentence in both packages."""
    with pytest.raises(kind) as caught:
        getattr(package(framework), name)(**complete(name, given))
    assert type(caught.value) is kind
    assert str(caught.value) == sentence


@EVERY_FRAMEWORK
@pytest.mark.parametrize("name", [*SINGLE, "ElasticNet"])
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "complex64"])
def test_an_array_that_is_not_floating_is_a_type_error(framework: str, name: str, dtype: str) -> None:
    """Integers, booleans and complex numbers have no penalty; the sentence names the dtype as both frameworks do."""
    module = package(framework)
    penalty = getattr(module, name)(**complete(name, {}))
    with pytest.raises(TypeError) as caught:
        penalty(array(module, [[1, 0], [1, 1]], dtype))
    assert str(caught.value) == f"{name}: x must be a dense floating array; got '{dtype}'."


@EVERY_FRAMEWORK
@pytest.mark.parametrize(("value", "kind"), [([1.0, 2.0], "list"), (1.0, "float"), (None, "NoneType")])
def test_what_is_no_array_is_a_type_error(framework: str, value: object, kind: str) -> None:
    """Lists and numbers are not converted in silence."""
    with pytest.raises(TypeError) as caught:
        package(framework).L1(0.1)(value)
    assert str(caught.value) == f"L1: x must be a dense floating array; got {kind!r}."


@EVERY_FRAMEWORK
def test_a_numpy_array_is_not_an_array_of_the_framework(framework: str) -> None:
    """PyTorch takes tensors alone; JAX takes NumPy's arrays as its own, as all of its functions do."""
    x = np.array([1.0, -2.0], dtype=np.float32)
    penalty = package(framework).L1(0.5)
    if framework == "jax":
        assert float(penalty(x)) == 1.5
        return
    with pytest.raises(TypeError) as caught:
        penalty(x)
    assert str(caught.value) == "L1: x must be a dense floating array; got 'ndarray'."


def sentences(call: Any) -> dict[str, str]:
    """What each package says to a call that both must refuse."""
    said = {}
    for framework in PACKAGES:
        module = package(framework)
        with pytest.raises((TypeError, ValueError, LookupError)) as caught:
            call(module, array(module, np.ones((2, 3)), "float32"))
        said[framework] = f"{type(caught.value).__name__}: {caught.value}"
    return said


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.L1(0.1)(x, axes=("out",)),
        lambda m, x: m.L1(0.1)(x, axes=("out", "out")),
        lambda m, x: m.L1(0.1)(x, axes=("rows", "columns")),
        lambda m, x: m.L1(0.1)(x, axes="out"),
        lambda m, x: m.GroupLasso(0.1, groups="sample")(x),
        lambda m, x: m.GroupLasso(0.1, groups="kernel")(x),
        lambda m, x: m.GroupLasso(0.1)(x, axes=("sample", "feature")),
        lambda m, x: m.GroupLasso(0.1, groups="rows"),
        lambda m, x: m.GroupLasso(0.1, groups=()),
        lambda m, x: m.GroupLasso(0.1, groups=None),
        lambda m, x: m.Orthogonal(0.1)(x, axes=("sample", "feature")),
        lambda m, x: m.Orthogonal(0.1)(x, where=array(m, np.ones(2), "bool")),
        lambda m, x: m.L1(0.1)(x, where=array(m, np.ones(3), "bool")),
        lambda m, x: m.L1(0.1)(x, where=array(m, np.ones((2, 3, 1)), "bool")),
        lambda m, x: m.L1(0.1)(x, where=array(m, True, "bool")),
        lambda m, x: m.Penalty.from_function(abs, name="mine")(x, where=array(m, np.ones(2), "bool")),
        lambda m, x: m.Penalty()(x),
        lambda m, x: m.Penalty.from_function(3, name="mine"),
        lambda m, x: m.Penalty.from_function(abs, name=""),
        lambda m, x: m.Penalty.from_function(abs, name=3),
        lambda m, x: m.Penalty.from_function(lambda y: y, name="mine")(x),
        lambda m, x: -1.0 * m.L1(0.1),
        lambda m, x: float("nan") * m.L1(0.1),
        lambda m, x: m.L1(0.1) * "2",
        lambda m, x: m.L1(0.1).on("**"),
        lambda m, x: m.L1(0.1).on(m.params(), name=""),
        lambda m, x: m.L1(0.1).on(m.params(), schedule=0.1),
        lambda m, x: m.params(role="weight"),
        lambda m, x: m.params(role=()),
        lambda m, x: m.params(3),
        lambda m, x: m.params(()),
        lambda m, x: m.params(combine="max"),
        lambda m, x: m.params(joint=1),
        lambda m, x: m.params(layout=("out", "sample")),
        lambda m, x: m.params(layout="out"),
        lambda m, x: m.params(layout=("...", "out", "...")),
        lambda m, x: m.activations(),
        lambda m, x: m.activations("*", per="sample"),
        lambda m, x: m.activations("*", of="both"),
        lambda m, x: m.activations("*", index=1.0),
        lambda m, x: m.activations("*", mask=""),
        lambda m, x: m.activations("*", missing="warn"),
        lambda m, x: m.activations("*", layout=("sample", "out")),
        lambda m, x: m.activations(type=3),
        lambda m, x: m.register_owner(3),
        lambda m, x: m.register_owner("Mine", roles=["kernel"]),
        lambda m, x: m.register_owner("Mine", roles={"w": "weight"}),
        lambda m, x: m.register_owner("Mine", roles={"w": 3}),
        lambda m, x: m.register_owner("Mine", layouts=[("out", "in")]),
        lambda m, x: m.register_owner("Mine", layouts={"w": ("rows",)}),
        lambda m, x: m.register_owner("Mine", output=("out",)),
        lambda m, x: m.Regularizer(),
        lambda m, x: m.Regularizer(m.L1(0.1)),
        lambda m, x: m.Regularizer(*2 * [m.L1(0.1).on(m.params(), name="same")]),
        lambda m, x: m.Regularizer(m.L1(0.1).on(m.params(), name="decay")).at(weights={"deacy": 1.0}),
        lambda m, x: m.Regularizer(m.L1(0.1).on(m.params(), name="decay")).at(masks={"pad": x}),
        lambda m, x: m.Regularizer(m.L1(0.1).on(m.params(), name="decay")).at(weights=[1.0]),
    ],
)  # fmt: skip
def test_both_packages_say_the_same_sentence(call: Any) -> None:
    """A call that is wrong in a way both can see is refused by both, with one kind of error and one whole sentence."""
    said = sentences(call)
    assert said["torch"] == said["jax"]
    assert " must be " in said["torch"]
    assert "; got " in said["torch"]
    assert said["torch"].endswith(".")
