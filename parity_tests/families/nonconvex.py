"""Sums over elements that grow ever more slowly: nearer to counting than L1 is."""

from parity_tests.families._entry import Entry

ENTRIES: tuple[Entry, ...] = ()
