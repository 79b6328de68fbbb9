"""Penalties of logits, through a softmax."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, activation

BALANCE = Laws(permutes="rows", at_zero=False, bounded=True)

# A logit of minus infinity is a probability of 0: all are bounded there.
ENTRIES = (
    Entry((config("NegativeEntropy", strength=0.3),), activation, Laws(nonnegative=False, bounded=True), smooth=True),
    Entry((config("RouterZ", strength=0.7),), activation, Laws(at_zero=False, bounded=True), smooth=True),
    # Ties go to the lowest index, so the order of features matters.
    Entry((config("LoadBalance", strength=0.4),), activation, BALANCE),
    # A single expert is fewer than two.
    Entry((config("LoadBalance", strength=0.4, top_k=2),), activation, BALANCE, without=("one",)),
)
