"""Norms of the whole array."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, anywhere

NORM = Laws(degree=1, convex=True, norm=True, signs="element", infinite=True)

ENTRIES = (
    Entry((config("L2Norm", strength=0.9),), anywhere, NORM),
    Entry((config("LinfNorm", strength=0.9),), anywhere, NORM),
)
