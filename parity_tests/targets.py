"""The arrays that penalties are put on: canonical axes, shapes, and how many leading axes a mask lies over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parity_tests.oracles import Axes

LARGE = "large"  # n = 1e6


@dataclass(frozen=True)
class Target:
    """An array that a penalty is put on: canonical axes, a shape, and over how many leading axes a mask lies."""

    name: str
    axes: Axes
    shape: tuple[int, ...]
    masked: int = 0
    named: bool = True  # False: the call leaves the axes out and takes the default for the rank

    @property
    def is_activation(self) -> bool:
        return "sample" in self.axes

    @property
    def is_large(self) -> bool:
        return LARGE in self.name


TARGETS: tuple[Target, ...] = (
    Target("tall", ("out", "in"), (6, 5), named=False),
    Target("conv", ("out", "in", "k0", "k1"), (6, 5, 3, 2), named=False),
    Target("wide", ("out", "in"), (4, 9)),
    Target("row", ("out", "in"), (1, 5)),
    Target("column", ("out", "in"), (5, 1)),
    Target("bias", ("out",), (7,), named=False),
    Target("scalar", (), (), named=False),
    Target("sequence", ("sample", "p0", "feature"), (4, 3, 5)),
    Target("features", ("sample", "feature"), (5, 7)),
    Target("image", ("sample", "p0", "p1", "feature"), (3, 2, 3, 4)),
    Target("sequence-masked", ("sample", "p0", "feature"), (4, 3, 5), masked=2),
    Target("features-masked", ("sample", "feature"), (5, 7), masked=1),
    Target("image-masked", ("sample", "p0", "p1", "feature"), (3, 2, 3, 4), masked=3),
    Target("tall-masked", ("out", "in"), (6, 5), masked=1),
    Target(LARGE, ("out", "in"), (4, 250_000)),
    Target(f"{LARGE}-features", ("sample", "feature"), (250_000, 4)),
)


def kinds(targets: Sequence[Target]) -> tuple[tuple[Target, ...], ...]:
    """The targets as parameters, activations and masked arrays, large ones left out; the first of a kind is typical."""
    small = [target for target in targets if not target.is_large]
    return (
        tuple(target for target in small if not target.masked and not target.is_activation),
        tuple(target for target in small if not target.masked and target.is_activation),
        tuple(target for target in small if target.masked),
    )
