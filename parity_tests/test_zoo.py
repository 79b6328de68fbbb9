"""What may come as an array: every kind gives the documented number or one typed error, the same sentence in both."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import package, require

PENALTIES: dict[str, Callable[[Any], Any]] = {
    "L1": lambda reg: reg.L1(2.0),
    "L2Norm": lambda reg: reg.L2Norm(2.0),
    "GroupLasso": lambda reg: reg.GroupLasso(2.0),
    "Orthogonal": lambda reg: reg.Orthogonal(2.0),
    "HoyerSquare": lambda reg: reg.HoyerSquare(2.0),
}
ONES: dict[str, float] = {"L1": 12.0, "L2Norm": 24**0.5, "GroupLasso": 12.0, "Orthogonal": 52.0, "HoyerSquare": 12.0}
"""The penalties of a matrix of ones, 2×3."""

FLOATS = {
    "float16": "float32",
    "bfloat16": "float32",
    "float32": "float32",
    "float64": "float64",
    "float8_e4m3fn": "float32",
    "float8_e5m2": "float32",
}
REFUSED = ["int8", "uint8", "int16", "int32", "int64", "bool", "complex64", "complex128"]


def _ones(framework: str, dtype: str) -> Any:
    require(framework)
    if framework == "torch":
        import torch

        return torch.ones(2, 3, dtype=torch.float32).to(getattr(torch, dtype))
    import jax.numpy as jnp

    return jnp.ones((2, 3), jnp.float32).astype(dtype)


def _value(framework: str, name: str, x: Any) -> Any:
    return PENALTIES[name](package(framework))(x)


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", list(PENALTIES))
@pytest.mark.parametrize("dtype", list(FLOATS))
def test_floating_dtypes(framework: str, name: str, dtype: str) -> None:
    """Every floating dtype is summed and returned in float32, float64 in float64."""
    require(framework)
    if framework == "jax":
        import jax

        with jax.enable_x64(True):
            value = _value(framework, name, _ones(framework, dtype))
    else:
        value = _value(framework, name, _ones(framework, dtype))
    assert str(value.dtype).removeprefix("torch.") == FLOATS[dtype]
    assert value.item() == pytest.approx(ONES[name], rel=1e-6, abs=0)


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", list(PENALTIES))
@pytest.mark.parametrize("dtype", REFUSED)
def test_other_dtypes_are_refused(framework: str, name: str, dtype: str) -> None:
    """Integers, booleans and complex numbers are a TypeError, in one sentence."""
    require(framework)
    if framework == "jax":
        import jax

        with jax.enable_x64(True), pytest.raises(TypeError) as error:
            _value(framework, name, _ones(framework, dtype))
    else:
        with pytest.raises(TypeError) as error:
            _value(framework, name, _ones(framework, dtype))
    assert str(error.value) == f"{name}: x must be a dense floating array; got '{dtype}'."


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("x", [1.0, 2, None, [1.0], (1.0,), "x", {}, object], ids=lambda x: type(x).__name__)
def test_what_is_no_array_is_refused(framework: str, x: Any) -> None:
    """Numbers, lists and everything else that is no array are a TypeError that names the type."""
    with pytest.raises(TypeError) as error:
        _value(framework, "L1", x)
    assert str(error.value) == f"L1: x must be a dense floating array; got '{type(x).__name__}'."


SHAPES: dict[str, tuple[tuple[int, ...], dict[str, float]]] = {
    "0-d": ((), {"L1": 2.0, "L2Norm": 2.0, "HoyerSquare": 2.0}),
    "one element": ((1,), {"L1": 2.0, "L2Norm": 2.0, "GroupLasso": 2.0, "Orthogonal": 0.0, "HoyerSquare": 2.0}),
    "one row": ((1, 4), {"L1": 8.0, "L2Norm": 4.0, "GroupLasso": 8.0, "Orthogonal": 18.0, "HoyerSquare": 8.0}),
    "empty": ((0,), dict.fromkeys(PENALTIES, 0.0)),
    "empty, many axes": ((3, 0, 2), dict.fromkeys(PENALTIES, 0.0)),
    "no rows": ((0, 3), dict.fromkeys(PENALTIES, 0.0)),
}


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize(
    ("shape", "name", "expected"),
    [(shape, name, value) for shape, values in SHAPES.values() for name, value in values.items()],
)
def test_shapes(framework: str, shape: tuple[int, ...], name: str, expected: float) -> None:
    """Scalars, single elements and empty arrays of ones have values and finite gradients."""
    require(framework)
    penalty = PENALTIES[name](package(framework))
    if framework == "torch":
        import torch

        x = torch.ones(shape, requires_grad=True)
        value = penalty(x)
        value.backward()
        gradient: Any = x.grad
    else:
        import jax
        import jax.numpy as jnp

        value, gradient = jax.value_and_grad(penalty)(jnp.ones(shape))
    assert value.item() == pytest.approx(expected, rel=1e-6, abs=0)
    assert tuple(gradient.shape) == shape
    assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("name", ["GroupLasso", "Orthogonal"])
def test_a_scalar_has_no_groups(framework: str, name: str) -> None:
    """A penalty that needs the axis ``out`` is a ValueError where there is none."""
    with pytest.raises(ValueError, match="'out' is not; got"):
        _value(framework, name, _ones(framework, "float32")[0, 0])


def _torch_kinds() -> dict[str, tuple[Callable[[Any], Any], str | float]]:
    """How a tensor may hold the ones, and the value or the end of the sentence."""
    return {
        "transposed": (lambda torch: torch.ones(3, 2).T, 12.0),
        "expanded": (lambda torch: torch.ones(1, 1).expand(2, 3), 12.0),
        "sliced": (lambda torch: torch.ones(4, 9)[::2, ::3], 12.0),
        "channels last": (lambda torch: torch.ones(1, 2, 1, 3).to(memory_format=torch.channels_last), 12.0),
        "frozen parameter": (lambda torch: torch.nn.Parameter(torch.ones(2, 3), requires_grad=False), 12.0),
        "inference": (lambda torch: _inference(torch), 12.0),
        "conjugate view's real part": (lambda torch: torch.ones(2, 3, dtype=torch.complex64).conj().real, 12.0),
        "negative view": (lambda torch: torch._neg_view(torch.ones(2, 3)), 12.0),
        "sparse": (lambda torch: torch.ones(2, 3).to_sparse(), "'sparse_coo'."),
        "compressed sparse": (lambda torch: torch.ones(2, 3).to_sparse_csr(), "'sparse_csr'."),
        "numpy": (lambda torch: np.ones((2, 3)), "'ndarray'."),
    }


def _inference(torch: Any) -> Any:
    with torch.inference_mode():
        return torch.ones(2, 3)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("kind", list(_torch_kinds()))
def test_torch_layouts(kind: str) -> None:
    """Views of any stride give the number of their elements; sparse tensors and other arrays are refused."""
    require("torch")
    import torch

    make, expected = _torch_kinds()[kind]
    if isinstance(expected, float):
        assert _value("torch", "L1", make(torch)).item() == expected
    else:
        with pytest.raises(TypeError) as error:
            _value("torch", "L1", make(torch))
        assert str(error.value) == f"L1: x must be a dense floating array; got {expected}"


def test_jax_layouts() -> None:
    """NumPy arrays count as arrays in JAX; keys and sparse arrays are refused."""
    require("jax")
    import jax
    from jax.experimental import sparse

    assert _value("jax", "L1", np.ones((2, 3), np.float32)).item() == 12.0
    assert _value("jax", "L1", np.ones((4, 9), np.float32)[::2, ::3]).item() == 12.0
    for x, got in ((jax.random.key(0), "key<fry>"), (sparse.BCOO.fromdense(jax.numpy.ones(2)), "BCOO")):
        with pytest.raises(TypeError) as error:
            _value("jax", "L1", x)
        assert str(error.value) == f"L1: x must be a dense floating array; got '{got}'."


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_what_squares_are_scaled_by_is_a_power_of_two(framework: str) -> None:
    """Dividing by it rounds nothing."""
    arrays = import_module(f"{package(framework).__name__}._arrays")
    for factor in (1.0, 1.7, 3.0, 1e-30, 1e30):
        scale = float(arrays.magnitude(factor * _ones(framework, "float32"), (0, 1)).reshape(()))
        assert np.frexp(scale)[0] == 0.5
        assert 0.5 <= factor / scale <= 2


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_reaches_the_total(framework: str, bad: float) -> None:
    """A NaN in one layer reaches the total, the report names its path, and its siblings' gradients are untouched."""
    reg = package(framework)
    regularizer = reg.Regularizer(reg.L1(1.0).on(reg.params(role="kernel"), name="l1"))
    if framework == "torch":
        penalties, sick, sound = _torch_with(regularizer, bad)
    else:
        penalties, sick, sound = _nnx_with(regularizer, bad)
    assert not np.isfinite(penalties.total.item())
    lines = penalties.report().splitlines()
    assert [line.split()[-4] for line in lines if line.endswith("not finite")] == [sick]
    assert (sound == 1).all()


def _torch_with(regularizer: Any, bad: float) -> tuple[Any, str, np.ndarray]:
    import torch

    model: Any = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight[0, 0] = bad
        model[1].weight.fill_(1.0)
    penalties = regularizer.apply(model, torch.ones(1, 2))[1]
    penalties.total.backward()
    return penalties, "0.weight", model[1].weight.grad.numpy()


def _nnx_with(regularizer: Any, bad: float) -> tuple[Any, str, np.ndarray]:
    import jax.numpy as jnp
    from flax import nnx

    model: Any = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    for layer, value in zip(model.layers, (bad, 1.0), strict=True):
        layer.kernel[...] = jnp.full_like(layer.kernel[...], value)

    def total(model: Any) -> tuple[Any, Any]:
        penalties = regularizer.apply(model, jnp.ones((1, 2)))[1]
        return penalties.total, penalties

    gradients, penalties = nnx.grad(total, has_aux=True)(model)
    return penalties, "layers.0.kernel", np.asarray(gradients["layers"][1]["kernel"][...])
