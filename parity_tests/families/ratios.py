"""Ratios of norms."""

from parity_tests.configs import Config, config
from parity_tests.families._entry import Entry, Laws, anywhere
from parity_tests.targets import Target


def _fits(config: Config, target: Target) -> bool:
    return anywhere(config, target) and ("over" not in config.given or target.is_activation)


ENTRIES = (
    Entry(
        (config("HoyerSquare", strength=0.6), config("HoyerSquare", strength=0.6, over="batch")),
        _fits,
        Laws(degree=0, signs="element"),
    ),
    Entry((config("HoyerSquare", strength=0.6, eps=0.01),), _fits, Laws(signs="element")),
)
