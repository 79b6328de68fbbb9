"""Penalties of a matrix, from its singular values or eigenvalues."""

from parity_tests.families._entry import Entry

ENTRIES: tuple[Entry, ...] = ()
