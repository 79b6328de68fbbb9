"""Penalties of the differences between neighbouring positions."""

from parity_tests.families._entry import Entry

ENTRIES: tuple[Entry, ...] = ()
