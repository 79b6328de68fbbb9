"""Norms of the whole array, and sums over groups."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, anywhere, grouped

NORM = Laws(degree=1, convex=True, norm=True, signs="element", infinite=True)

ENTRIES = (
    Entry((config("L2Norm", strength=0.9),), anywhere, NORM),
    Entry(
        (
            config("GroupLasso", strength=0.4),
            config("GroupLasso", strength=0.4, groups="in"),
            config("GroupLasso", strength=0.4, groups="kernel"),
            config("GroupLasso", strength=0.4, groups=("out", "in")),
            config("GroupLasso", strength=0.4, groups="out", size_weighted=False),
            config("GroupLasso", strength=0.4, groups="sample"),
            config("GroupLasso", strength=0.4, groups="position"),
            config("GroupLasso", strength=0.4, groups="feature"),
            config("GroupLasso", strength=0.4, groups=("sample", "position")),
            config("GroupLasso", strength=0.4, groups="feature", size_weighted=False),
        ),
        grouped,
        NORM,
    ),
)
