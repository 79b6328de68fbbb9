"""Penalties of the statistics of activations over samples and positions."""

from parity_tests.families._entry import Entry

ENTRIES: tuple[Entry, ...] = ()
