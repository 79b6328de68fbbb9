"""How a law is tried: on many arrays drawn from each of a few seeds, all of a seed computed at once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import update_wrapper
from typing import NamedTuple

import numpy as np
from hypothesis import given, note, settings
from hypothesis import strategies as st

from parity_tests.backends import values_and_grads
from parity_tests.configs import Config
from parity_tests.families import is_typical
from parity_tests.oracles import Axes, Expected, Mask
from parity_tests.precision import Array
from parity_tests.targets import Target


class Ask(NamedTuple):
    """An array whose penalty and gradient a law wants to see."""

    x: Array
    axes: Axes
    where: Mask = None


Answer = tuple[float, Array]
Trial = Generator[tuple[Ask, ...], tuple[Answer, ...], None]
"""A law tried once: it asks for all that it wants to see, and checks it."""


@dataclass(frozen=True)
class Draw:
    """What a law is tried on: drawn from one seed, in shapes that are fixed, so that all of it is computed at once."""

    penalty: Config
    place: Target
    rng: np.random.Generator

    def array(self) -> Array:
        """Normal, with zeros, ties or a wide range."""
        shape = self.place.shape
        x, kind = self.rng.standard_normal(shape), self.rng.integers(4)
        if kind == 1:
            return x * self.rng.integers(0, 2, x.shape) * self.rng.integers(0, 2, (shape[0], *(1,) * (len(shape) - 1)))
        if kind == 2:
            return np.sign(x) * self.rng.integers(0, 3, x.shape).astype(np.float64)
        return x * 10.0 ** self.rng.uniform(-3, 3, x.shape) if kind == 3 else x

    def factor(self) -> float:
        """Plus or minus a power of two, which rounds nothing: what cancels to 0 does so at every scale."""
        return float(self.rng.choice([-1.0, 1.0]) * 2.0 ** self.rng.integers(-10, 11))

    def ask(self, x: Array, where: Mask = None) -> Ask:
        """For an array with its axes in their order."""
        return Ask(x, self.place.axes, where)

    def due(self, x: Array) -> Expected:
        """What an oracle says of an array."""
        return self.penalty.oracle(x, self.place.axes)


SEEDS = 20  # for hypothesis to choose; many arrays are drawn from each, because they cost less than it does
EXAMPLES = settings().max_examples  # of the tier
FEW = 200  # arrays for a configuration that is not the typical one of its entry
TINY = 2.0**16 * float(np.finfo(float).tiny)  # a probability that is flushed to 0, times numbers as large as are drawn


def law(holds: Callable[[Draw], Trial]) -> Callable[..., None]:
    """A test that tries a law on as many arrays as the tier has examples."""

    @settings(max_examples=SEEDS)
    @given(seed=st.integers(0, 2**32 - 1))
    def test(framework: str, penalty: Config, place: Target, seed: int) -> None:
        draw, number = Draw(penalty, place, np.random.default_rng(seed)), EXAMPLES if is_typical(penalty) else FEW
        trials = [holds(draw) for _ in range(number // SEEDS)]
        columns = zip(*(next(trial) for trial in trials), strict=True)
        answers = zip(*(answered(framework, penalty, list(column)) for column in columns), strict=True)
        for i, (trial, answer) in enumerate(zip(trials, answers, strict=True)):
            try:
                trial.send(answer)
            except StopIteration:
                continue
            except AssertionError:
                note(f"draw {i} of the seed")
                raise
            raise TypeError(f"{holds.__name__} must ask once")

    update_wrapper(test, holds)
    del vars(test)["__wrapped__"]  # pytest would ask for the arguments of the law
    return test


def answered(framework: str, penalty: Config, asks: list[Ask]) -> list[Answer]:
    """The penalties and gradients in float64, of all draws at once."""
    where = None if asks[0].where is None else np.stack([ask.where for ask in asks if ask.where is not None])
    values, slopes = values_and_grads(framework, penalty.build, np.stack([ask.x for ask in asks]), asks[0].axes, where)
    return list(zip(values.tolist(), slopes, strict=True))


def close(got: float | Array, due: float | Array, size: Callable[[], float | Array]) -> None:
    """Equal within what a few float64 roundings of terms of some size can do, which is at least that of their sum."""
    off = np.abs(np.asarray(got) - due)
    if not np.all(off <= 1e-12 * np.abs(due)):
        allowed = 1e-12 * np.asarray(size()) + TINY
        assert np.all(off < allowed), f"off by {off}, allowed {allowed}"
