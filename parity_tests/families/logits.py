"""Penalties of logits, through a softmax."""

from parity_tests.configs import Config, config
from parity_tests.families._entry import Entry, Laws, activation
from parity_tests.targets import Target


def _routed(config: Config, target: Target) -> bool:
    """An activation with as many features as are chosen."""
    return activation(config, target) and config.given.get("top_k", 1) <= target.shape[-1]


# A logit of minus infinity is a probability of 0: all are bounded there.
ENTRIES = (
    Entry((config("NegativeEntropy", strength=0.3),), activation, Laws(nonnegative=False, bounded=True), smooth=True),
    Entry((config("RouterZ", strength=0.7),), activation, Laws(at_zero=False, bounded=True), smooth=True),
    # Ties go to the lowest index, so the order of features matters.
    Entry(
        (
            config("LoadBalance", strength=0.4),
            config("LoadBalance", strength=0.4, top_k=2),
        ),
        _routed,
        Laws(permutes="rows", at_zero=False, bounded=True),
    ),
)
