"""Penalties of the statistics of activations over samples and positions."""

from parity_tests.configs import config
from parity_tests.families._entry import Entry, Laws, activation

COVARIANCES = Laws(degree=4, signs="column")

ENTRIES = (
    Entry((config("Decorrelation", strength=0.3),), activation, COVARIANCES, smooth=True),
    Entry((config("Covariance", strength=0.3),), activation, COVARIANCES, smooth=True),
    Entry(
        (
            config("VarianceHinge", strength=0.7),
            config("VarianceHinge", strength=0.7, target=2.3),
            config("VarianceHinge", strength=0.7, target=0.6, eps=0.01),
        ),
        activation,
        Laws(signs="column"),
    ),
    # Bounded, since a mean beyond the clip costs what the clip does.
    Entry(
        (
            config("KLSparsity", strength=0.4),
            config("KLSparsity", strength=0.4, rho=0.3),
            config("KLSparsity", strength=0.4, eps=0.02),
        ),
        activation,
        Laws(bounded=True),
        extra=("unit",),
    ),
    Entry(
        (config("MeanActivation", strength=0.6),),
        activation,
        Laws(degree=2, convex=True, signs="all", infinite=True),
        smooth=True,
    ),
    Entry(
        (config("MeanActivation", strength=0.6, target=-0.3),),
        activation,
        Laws(convex=True, infinite=True, at_zero=False),
        smooth=True,
    ),
)
