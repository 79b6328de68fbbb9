"""Penalties of the differences between neighbouring positions."""

from parity_tests.configs import Config, config
from parity_tests.families._entry import Entry, Laws
from parity_tests.targets import Target


def positions(config: Config, target: Target) -> bool:
    """An activation with positions."""
    return "p0" in target.axes


ENTRIES = (
    Entry(
        (config("TemporalL2", strength=0.3),),
        positions,
        Laws(degree=2, convex=True, signs="all", infinite=True),
        smooth=True,
    ),
    Entry(
        (config("TotalVariation", strength=0.7),),
        positions,
        Laws(degree=1, convex=True, norm=True, signs="all", infinite=True),
    ),
)
