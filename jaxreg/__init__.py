"""Regularization penalties on the parameters and activations of any Flax model, proven equal to ``torchreg``'s."""

try:
    import flax as _flax  # noqa: F401  # nothing below works without it
except ModuleNotFoundError as _error:
    raise ImportError(
        f"jaxreg: jax and flax must be installed; got no module named {_error.name!r}. Run: pip install 'twinreg[jax]'"
    ) from _error

from . import linen as linen  # not in __all__: a star import would hide flax's own linen and nnx
from . import nnx as nnx
from . import schedules
from ._spec.targets import activations, params
from ._spec.terms import Term
from .inject import inject
from .optim import PenaltyGradientsState, add_penalty_gradients
from .owners import register_owner
from .penalties.elementwise import L1, L2, ElasticNet, PseudoHuber, Saturation
from .penalties.groups import ExclusiveLasso, GroupLasso, GroupLinf, SparseGroupLasso
from .penalties.logits import LoadBalance, NegativeEntropy, RouterZ
from .penalties.matrices import CosineOrthogonal, MaxNorm, MutualCoherence, Orthogonal
from .penalties.nonconvex import LogSum, Lp, StudentT, TanhL1, TransformedL1
from .penalties.norms import L2Norm, LinfNorm
from .penalties.ratios import GroupHoyerSquare, Hoyer, HoyerSquare
from .penalties.sequences import TemporalL2, TotalVariation
from .penalties.spectra import Nuclear, SpectralIsometry, SpectralNorm
from .penalties.statistics import Covariance, Decorrelation, KLSparsity, MeanActivation, VarianceHinge
from .penalty import Penalty
from .regularizer import BoundRegularizer, Regularizer
from .result import Penalties

__all__ = [
    "L1",
    "L2",
    "BoundRegularizer",
    "CosineOrthogonal",
    "Covariance",
    "Decorrelation",
    "ElasticNet",
    "ExclusiveLasso",
    "GroupHoyerSquare",
    "GroupLasso",
    "GroupLinf",
    "Hoyer",
    "HoyerSquare",
    "KLSparsity",
    "L2Norm",
    "LinfNorm",
    "LoadBalance",
    "LogSum",
    "Lp",
    "MaxNorm",
    "MeanActivation",
    "MutualCoherence",
    "NegativeEntropy",
    "Nuclear",
    "Orthogonal",
    "Penalties",
    "Penalty",
    "PenaltyGradientsState",
    "PseudoHuber",
    "Regularizer",
    "RouterZ",
    "Saturation",
    "SparseGroupLasso",
    "SpectralIsometry",
    "SpectralNorm",
    "StudentT",
    "TanhL1",
    "TemporalL2",
    "Term",
    "TotalVariation",
    "TransformedL1",
    "VarianceHinge",
    "activations",
    "add_penalty_gradients",
    "inject",
    "params",
    "register_owner",
    "schedules",
]
