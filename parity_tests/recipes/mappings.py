"""The lines of ``docs/coming-from.md``, the array each is tried on, and the figures that it must give.

A test holds the page to this table: what a row of the page prints is what a row here says, and none is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

KERNELS = 'params(role="kernel")'

# What the Greek letters of the page stand for; no two alike, so that none can take another's place.
GIVEN = {"λ": 0.3, "α": 2.0, "β": 0.7, "μ": 25.0, "ν": 1.5}


@dataclass(frozen=True)
class Recipe:
    """One mapping.

    Attributes:
        source: ``keras`` and ``transformers`` are asked, ``published`` is recorded.
        name: what the source calls its figures.
        line: what does it here.
        array: the array that both are given.
    """

    source: str
    name: str
    line: str
    array: str = "kernel"

    def __str__(self) -> str:
        return f"{self.source}: {self.name}"


KERAS = (
    Recipe("keras", "L1", f"L1(λ).on({KERNELS})"),
    Recipe("keras", "L2", f"L2(λ).on({KERNELS})"),
    Recipe("keras", "L1L2", f"ElasticNet(α, β).on({KERNELS})"),
    Recipe("keras", "orthogonal rows", f'CosineOrthogonal(λ, side="in").on({KERNELS})'),
    Recipe("keras", "orthogonal columns", f'CosineOrthogonal(λ, side="out").on({KERNELS})'),
    Recipe("keras", "activity L1", 'L1(λ).on(activations("act"))', "activation"),
    Recipe("keras", "activity L2, sequence", 'L2(λ).on(activations("act"))', "sequence"),
    Recipe("keras", "ActivityRegularization", 'ElasticNet(α, β).on(activations("act"))', "activation"),
    Recipe("keras", "L1 called", 'L1(λ).on(activations("act", per="batch"))', "activation"),
)

TRANSFORMERS = (
    Recipe("transformers", "router z", 'RouterZ(λ).on(activations("router", per="position"))', "router"),
    Recipe("transformers", "Mixtral", 'LoadBalance(λ, top_k=2).on(activations("router"))', "router"),
    Recipe("transformers", "Mixtral, top 1", 'LoadBalance(λ).on(activations("router"))', "router"),
    Recipe("transformers", "Switch, one group", 'LoadBalance(λ).on(activations("router"))', "one group"),
    Recipe(
        "transformers",
        "Mixtral, padded",
        'LoadBalance(λ, top_k=2).on(activations("router", mask="pad"))',
        "router",
    ),
)

PUBLISHED = (
    Recipe("published", "slim l1_regularizer", f"L1(λ).on({KERNELS})"),
    Recipe("published", "slim l2_regularizer", f"L2(λ / 2).on({KERNELS})"),
    Recipe("published", "slim l1_l2_regularizer", f"ElasticNet(α, β / 2).on({KERNELS})"),
    Recipe("published", "AR", 'L2(α).on(activations("dropout", per="element"))', "sequence"),
    Recipe("published", "TAR", 'TemporalL2(β).on(activations("rnn", per="element"))', "sequence"),
    Recipe("published", "network slimming", 'L1(λ).on(params(role="scale"))', "scale"),
    Recipe("published", "Hoyer-Square", f"HoyerSquare(λ).on({KERNELS})", "convolution"),
    Recipe(
        "published",
        "Group-HS",
        f'(GroupHoyerSquare(λ, groups="out") + GroupHoyerSquare(λ, groups="in")).on({KERNELS})',
        "convolution",
    ),
    Recipe(
        "published",
        "structured sparsity",
        '(GroupLasso(λ, groups="out", size_weighted=False) + GroupLasso(λ, groups="in", size_weighted=False))'
        f".on({KERNELS})",
        "convolution",
    ),
    Recipe("published", "sparse autoencoder", 'L1(λ).on(activations("encoder"))', "activation"),
    Recipe("published", "sparse autoencoder, tokens", 'L1(λ).on(activations("encoder", per="position"))', "sequence"),
    Recipe("published", "confidence penalty", 'NegativeEntropy(β).on(activations("logits"))', "activation"),
    Recipe("published", "soft orthogonality", f'Orthogonal(λ, side="out").on({KERNELS})', "convolution"),
    Recipe("published", "DSO", f'Orthogonal(λ, side="both").on({KERNELS})', "convolution"),
    Recipe("published", "SRIP", f'SpectralIsometry(λ, side="out").on({KERNELS})', "convolution"),
    Recipe("published", "mutual coherence", f'MutualCoherence(λ, side="out").on({KERNELS})', "convolution"),
    Recipe("published", "VICReg variance", 'VarianceHinge(μ / 2).on(activations("projector"))', "embedding"),
    Recipe("published", "VICReg covariance", 'Covariance(ν).on(activations("projector"))', "embedding"),
    Recipe("published", "DeCov", 'Decorrelation(λ).on(activations("act"))', "embedding"),
)

# What an optimizer does has no value to compare: ``test_optimizers.py`` compares where its steps lead.
DECAY = "L2(λ / 2).on(params())"

RECIPES = (*KERAS, *TRANSFORMERS, *PUBLISHED)
LINES = {recipe.line for recipe in RECIPES} | {DECAY}
