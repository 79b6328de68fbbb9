"""Penalties of a matrix, from its products of rows."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, matrix

ENTRIES = (
    Entry(
        tuple(config("Orthogonal", strength=0.2, side=side) for side in ("min", "out", "in", "both")),
        matrix,
        Laws(signs="column"),
        smooth=True,
    ),
)
