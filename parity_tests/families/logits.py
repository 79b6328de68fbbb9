"""Penalties of logits, through a softmax."""

from parity_tests.families._entry import Entry

ENTRIES: tuple[Entry, ...] = ()
