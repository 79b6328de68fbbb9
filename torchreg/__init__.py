"""Regularization penalties on the parameters and activations of any PyTorch model, proven equal to ``jaxreg``'s."""

try:
    import torch as _torch  # noqa: F401  # nothing below works without it
except ModuleNotFoundError as _error:
    raise ImportError(
        "torchreg: torch must be installed; got no module named 'torch'. Run: pip install 'twinreg[torch]'"
    ) from _error

from . import schedules
from ._spec.targets import activations, params
from ._spec.terms import Term
from .capture import Tap, Tape
from .inject import Penalize, inject
from .optim import PenaltyGradients, add_penalty_gradients
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
    "Penalize",
    "Penalties",
    "Penalty",
    "PenaltyGradients",
    "PseudoHuber",
    "Regularizer",
    "RouterZ",
    "Saturation",
    "SparseGroupLasso",
    "SpectralIsometry",
    "SpectralNorm",
    "StudentT",
    "TanhL1",
    "Tap",
    "Tape",
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
