"""What can be known of other devices without one: no tensor made on the wrong one, and code that lowers for them.

The device check runs each penalty on tensors that have a device and no numbers; the lowering check has XLA's
compilers' input written for each platform. Neither compares a number, so neither is a comparison with an oracle on
that device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import package, require
from parity_tests.cases import tiered, typical
from parity_tests.configs import Config
from parity_tests.families import CONFIGS
from parity_tests.seeded import RIGHT, Posing
from parity_tests.targets import TARGETS, Target

ROWS = [(config, target) for config in CONFIGS for target in typical(config)]
CELLS = pytest.mark.parametrize(
    ("config", "target"), [tiered(*row) for row in ROWS], ids=[f"{c}-{t.name}" for c, t in ROWS]
)
PLATFORMS = ("cpu", "cuda", "tpu")
DTYPES = ("float32", "bfloat16")
TALL = next(target for target in TARGETS if target.name == "tall")


@lru_cache
def fake() -> Any:
    """The mode in which tensors have a shape, a type and a device, and no numbers."""
    require("torch")
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


def device_check(penalty: Callable[..., Any], target: Target, dtype: str, device: str) -> None:
    """Run a penalty forward, and on ``meta`` backward; a second device anywhere inside is an error.

    Backward on ``xpu`` would need a build of PyTorch that knows the device.
    """
    import torch

    backward = device == "meta"
    with fake(), torch.set_grad_enabled(backward):
        x = torch.empty(target.shape, dtype=getattr(torch, dtype), device=device, requires_grad=backward)
        where = torch.ones(target.shape[: target.masked], dtype=torch.bool, device=device) if target.masked else None
        value = penalty(x, axes=target.axes, where=where)
        assert (value.device.type, value.shape, value.dtype) == (device, (), torch.float32)
        if backward:
            (gradient,) = torch.autograd.grad(value, x)
            assert (gradient.device.type, gradient.shape, gradient.dtype) == (device, x.shape, x.dtype)


def lowered(penalty: Callable[..., Any], target: Target, dtype: str) -> Any:
    """Value and gradient of a penalty as a program for every platform."""
    import jax

    def both(x: Any, where: Any) -> Any:
        return jax.value_and_grad(lambda x: penalty(x, axes=target.axes, where=where))(x)

    x = jax.ShapeDtypeStruct(target.shape, jax.numpy.dtype(dtype))
    where = jax.ShapeDtypeStruct(target.shape[: target.masked], np.bool_) if target.masked else None
    return jax.export.export(jax.jit(both), platforms=PLATFORMS)(x, where)


@pytest.mark.parametrize("device", ["meta", "xpu"])
@CELLS
def test_device_check(config: Config, target: Target, device: str) -> None:
    """All that a penalty makes is on the device of its array: value and gradient, in their types."""
    penalty = config.build(package("torch"))
    try:
        for dtype in DTYPES:
            device_check(penalty, target, dtype, device)
    except RuntimeError as error:
        if device != "meta" and "PyTorch is not linked with support for" in str(error):
            pytest.skip(f"this build of PyTorch has not all operations on {device} tensors, even without numbers")
        raise


@CELLS
def test_lowering_check(config: Config, target: Target) -> None:
    """Value and gradient lower for cpu, cuda and tpu, as a scalar float32 and an array like the input."""
    penalty = config.build(package("jax"))
    for dtype in DTYPES:
        program = lowered(penalty, target, dtype)
        assert program.platforms == PLATFORMS
        assert [(out.shape, str(out.dtype)) for out in program.out_avals] == [((), "float32"), (target.shape, dtype)]


@pytest.mark.parametrize("device", ["meta", "xpu"])
def test_the_device_check_can_fail(device: str) -> None:
    """An identity that is made where nobody said is caught on every device but the CPU."""
    formula = next(seed.formula for seed in RIGHT if seed.name == "Orthogonal")
    penalty = Posing(formula)(package("torch"))
    from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError

    with pytest.raises(FakeTensorDeviceMismatchError, match="at least two devices"):
        device_check(penalty, TALL, "float32", device)


def test_the_lowering_check_can_fail() -> None:
    """A value that must be known while the program is written is caught."""
    package("jax")
    import jax

    with pytest.raises(jax.errors.ConcretizationTypeError):
        lowered(lambda x, axes, where: x.sum() if x[0, 0] > 0 else -x.sum(), TALL, "float32")
