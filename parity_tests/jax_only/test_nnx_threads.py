"""Threads: a model each is right to the bit, one model for two is right too, and never a deadlock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flax import nnx

from jaxreg.nnx import Tap
from parity_tests.capture_table import covers
from parity_tests.jax_only.common import X, close, l1_of, total
from parity_tests.jax_only.nnx_models import Two


@covers("threads", "nnx")
def test_eight_threads_with_a_model_each() -> None:
    """Eight threads give what one gives, to the bit."""
    models, reg = [Two(nnx.Rngs(i)) for i in range(8)], l1_of("*.act")
    alone = [float(reg.apply(model, X)[1].total) for model in models]
    barrier = threading.Barrier(8)

    def work(i: int) -> list[float]:
        barrier.wait()
        return [float(reg.apply(models[i], X)[1].total) for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        for expected, found in zip(alone, pool.map(work, range(8)), strict=True):
            assert found == [expected] * 10


class Slow(nnx.Module):
    """A tap that lets another thread in."""

    def __init__(self) -> None:
        self.tap = Tap()
        self.entered = nnx.static(threading.Event())
        self.may_leave = nnx.static(threading.Event())

    def __call__(self, x: Any) -> Any:
        x = self.tap(x)
        self.entered.set()
        self.may_leave.wait(5)
        return x


def test_two_threads_on_one_model() -> None:
    """A second pass waits for the first, and a plain call beside a pass does not count in it."""
    model, reg = Slow(), l1_of("tap")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: float(reg.apply(model, X)[1].total))
        assert model.entered.wait(5)
        second = pool.submit(lambda: float(reg.apply(model, 3 * X)[1].total))
        model.tap(100 * X)
        model.may_leave.set()
        close(first.result(), total(X))
        close(second.result(), 3 * total(X))
    assert type(model.tap) is Tap


def test_threads_that_would_wait_for_each_other() -> None:
    """A thread that holds one model and would have to wait for another gets an error, not a deadlock."""
    held, reg = Slow(), l1_of("tap")

    class Waiting(nnx.Module):
        def __init__(self) -> None:
            self.tap = Tap()

        def __call__(self, x: Any) -> Any:
            return reg.apply(held, self.tap(x))[0]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: reg.apply(held, X))
        assert held.entered.wait(5)
        model = Waiting()
        with pytest.raises(RuntimeError, match="give each thread its own models"):
            reg.apply(model, X)
        held.may_leave.set()
        first.result()
    assert type(held.tap) is type(model.tap) is Tap
