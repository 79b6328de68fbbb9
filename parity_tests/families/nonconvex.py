"""Sums over elements that grow ever more slowly: nearer to counting than L1 is."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, anywhere

UNBOUNDED = Laws(signs="element", infinite=True)
BOUNDED = Laws(signs="element", bounded=True)

ENTRIES = (
    Entry(
        (config("Lp", strength=0.3, p=0.5, eps=0.003), config("Lp", strength=0.3, p=0.7, eps=0.003)),
        anywhere,
        UNBOUNDED,
        smooth=True,
    ),
    Entry(
        (config("Lp", strength=0.3, p=1.0, eps=0.003),),
        anywhere,
        Laws(convex=True, signs="element", infinite=True),
        smooth=True,
    ),
    Entry(
        (config("Lp", strength=0.3, p=3.0),),
        anywhere,
        Laws(degree=3, convex=True, signs="element", infinite=True),
        smooth=True,
    ),
    Entry((config("LogSum", strength=0.3, eps=0.03),), anywhere, UNBOUNDED),
    Entry((config("StudentT", strength=0.3, scale=0.6),), anywhere, UNBOUNDED, smooth=True),
    Entry((config("TransformedL1", strength=0.3, a=0.7),), anywhere, BOUNDED),
    Entry((config("TanhL1", strength=0.3, scale=0.7),), anywhere, BOUNDED),
)
