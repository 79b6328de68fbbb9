"""Ratios of norms."""

from parity_tests.configs import Config, config
from parity_tests.families._entry import Entry, Laws, anywhere, grouped
from parity_tests.targets import LARGE, Target

RATIO = Laws(degree=0, signs="element")
SHIFTED = Laws(signs="element")  # eps > 0 has a scale of its own


def _fits(config: Config, target: Target) -> bool:
    return anywhere(config, target) and ("over" not in config.given or target.is_activation)


def _fits_groups(config: Config, target: Target) -> bool:
    """As other groups; 250,000 ratios are too slow as loops."""
    batch = config.given.get("over") == "batch"
    return grouped(config, target) and (batch <= target.is_activation) and (batch or target.name != f"{LARGE}-features")


ENTRIES = (
    Entry((config("Hoyer", strength=0.6), config("Hoyer", strength=0.6, over="batch")), _fits, RATIO),
    Entry((config("Hoyer", strength=0.6, eps=0.1),), _fits, SHIFTED),
    Entry((config("HoyerSquare", strength=0.6), config("HoyerSquare", strength=0.6, over="batch")), _fits, RATIO),
    Entry((config("HoyerSquare", strength=0.6, eps=0.01),), _fits, SHIFTED),
    Entry(
        (
            config("GroupHoyerSquare", strength=0.6),
            config("GroupHoyerSquare", strength=0.6, groups="in"),
            config("GroupHoyerSquare", strength=0.6, groups=("out", "kernel")),
            config("GroupHoyerSquare", strength=0.6, groups="feature"),
            config("GroupHoyerSquare", strength=0.6, groups="position"),
            config("GroupHoyerSquare", strength=0.6, groups="feature", over="batch"),
            config("GroupHoyerSquare", strength=0.6, groups=("sample", "feature"), over="batch"),
        ),
        _fits_groups,
        RATIO,
    ),
    Entry(
        (
            config("GroupHoyerSquare", strength=0.6, eps=0.01),
            config("GroupHoyerSquare", strength=0.6, groups="feature", eps=0.01),
        ),
        _fits_groups,
        SHIFTED,
        without=("underflow",),  # x² / eps is beneath the range there, and with it the way from a norm back to x
    ),
)
