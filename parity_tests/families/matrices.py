"""Penalties of a matrix, from the lengths and products of its rows."""

from parity_tests.configs import Config, config
from parity_tests.families._entry import Entry, Laws, matrix
from parity_tests.targets import Target

SIDES = ("min", "out", "in", "both")
EXTRA = ("repeated", "rank-one", "near-singular")
COSINE = Laws(degree=0, signs="column")


def _rows(config: Config, target: Target) -> bool:
    """Anything with outputs, a bias too; a mask leaves out elements of rows, or rows."""
    return "out" in target.axes


ENTRIES = (
    Entry(
        tuple(config("Orthogonal", strength=0.2, side=side) for side in SIDES),
        matrix,
        Laws(signs="column"),
        smooth=True,
    ),
    Entry(
        tuple(config("CosineOrthogonal", strength=0.3, side=side) for side in ("out", "in", "min", "both")),
        matrix,
        COSINE,
        extra=EXTRA,
    ),
    # Over a wide range two rows have one large element each, and whole columns of cosines are 1 but for rounding.
    Entry(
        tuple(config("MutualCoherence", strength=0.3, side=side) for side in SIDES),
        matrix,
        COSINE,
        extra=EXTRA,
        without=("wide",),
    ),
    Entry(
        (config("MaxNorm", strength=0.3, limit=0.8), config("MaxNorm", strength=0.3, limit=0.0)),
        _rows,
        Laws(convex=True, signs="element", infinite=True),
    ),
)
