"""Penalties of a matrix, from its singular values or eigenvalues."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, matrix

EXTRA = ("repeated", "isometry", "rank-one", "near-singular")
NORM = Laws(degree=1, convex=True, norm=True, signs="column")

ENTRIES = (
    Entry(
        (config("SpectralNorm", strength=0.3),),
        matrix,
        Laws(degree=2, convex=True, signs="column"),
        extra=EXTRA,
    ),
    Entry((config("SpectralNorm", strength=0.3, power=1),), matrix, NORM, extra=EXTRA),
    # Over a wide range small singular values are beneath the rounding of the large ones: whether they are 0 is noise.
    Entry((config("Nuclear", strength=0.3),), matrix, NORM, extra=EXTRA, without=("wide",)),
    # The square of a float16 that is tiny lies as near to 0 as the rounding of the 1 that is taken from it.
    Entry(
        tuple(config("SpectralIsometry", strength=0.3, side=side) for side in ("min", "out", "in", "both")),
        matrix,
        Laws(signs="column"),
        extra=EXTRA,
        without=("tiny", "underflow"),
    ),
)
