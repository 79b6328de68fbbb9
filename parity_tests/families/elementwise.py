"""Sums over elements: the convex ones."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, anywhere

# Strengths that no binary type holds exactly, so a coefficient that is rounded too early shows.
ENTRIES = (
    Entry(
        (config("L1", strength=0.3),),
        anywhere,
        Laws(degree=1, convex=True, norm=True, signs="element", infinite=True),
    ),
    Entry(
        (config("L2", strength=0.7),),
        anywhere,
        Laws(degree=2, convex=True, signs="element", infinite=True),
        smooth=True,
    ),
    Entry(
        (config("ElasticNet", l1=0.3, l2=0.05),),
        anywhere,
        Laws(convex=True, signs="element", infinite=True),
    ),
    Entry(
        (config("PseudoHuber", strength=0.7, delta=0.3),),
        anywhere,
        Laws(convex=True, signs="element", infinite=True),
        smooth=True,
    ),
    # The second limit is that of the ties: elements lie on it.
    Entry(
        (config("Saturation", strength=0.7, limit=0.3), config("Saturation", strength=0.7, limit=0.5)),
        anywhere,
        Laws(convex=True, signs="element", infinite=True),
    ),
)
