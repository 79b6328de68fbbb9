"""The device that the modes make their arrays on, and the precision of products there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

DEVICES = ("cpu", "cuda")
MATMUL = "jax_default_matmul_precision"
_device = "cpu"


def current() -> str:
    """The device of the run."""
    return _device


def missing(framework: str, device: str) -> str | None:
    """Why an installed framework cannot run on a device, or None."""
    if device == "cpu" or find_spec(framework) is None:
        return None
    if framework == "torch":
        import torch

        return None if torch.cuda.is_available() else f"torch {torch.__version__} finds no {device} device"
    import jax

    try:
        return None if jax.devices(device) else f"jax finds no {device} device"
    except RuntimeError:  # what jax raises for a platform that it has not
        return f"jax {jax.__version__} finds no {device} device"


@contextmanager
def on(device: str) -> Iterator[None]:
    """Make arrays on a device, and on one with shorter formats for products let none of them be used."""
    global _device
    before, _device = _device, device
    try:
        if device == "cpu":
            yield
        else:
            with full_products():
                yield
    finally:
        _device = before


@contextmanager
def full_products() -> Iterator[None]:
    """Products of float32 in float32: no TF32 in PyTorch, the highest precision in JAX; afterwards as it was."""
    restore: list[Any] = []
    try:
        if find_spec("torch") is not None:
            import torch

            precision, short = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
            restore.append(lambda: torch.set_float32_matmul_precision(precision))
            restore.append(lambda: setattr(torch.backends.cudnn, "allow_tf32", short))
            torch.set_float32_matmul_precision("highest")
            torch.backends.cudnn.allow_tf32 = False
        if find_spec("jax") is not None:
            import jax

            default = jax.config.values[MATMUL]
            restore.append(lambda: jax.config.update(MATMUL, default))
            jax.config.update(MATMUL, "highest")
        yield
    finally:
        for undo in restore:
            undo()


def precision() -> dict[str, str]:
    """The settings that decide in what format products of float32 are formed, as they are now."""
    flags: dict[str, str] = {}
    if find_spec("torch") is not None:
        import torch

        flags["torch float32 matmul precision"] = torch.get_float32_matmul_precision()
        flags["torch cuDNN TF32"] = "on" if torch.backends.cudnn.allow_tf32 else "off"
    if find_spec("jax") is not None:
        import jax

        flags[MATMUL] = str(jax.config.values[MATMUL] or "default")
    return flags
