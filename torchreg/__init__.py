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
from .owners import register_owner
from .penalties.elementwise import L1, L2, ElasticNet
from .penalties.groups import GroupLasso, L2Norm
from .penalties.matrices import Orthogonal
from .penalties.ratios import HoyerSquare
from .penalty import Penalty
from .regularizer import BoundRegularizer, Regularizer
from .result import Penalties

__all__ = [
    "L1",
    "L2",
    "BoundRegularizer",
    "ElasticNet",
    "GroupLasso",
    "HoyerSquare",
    "L2Norm",
    "Orthogonal",
    "Penalize",
    "Penalties",
    "Penalty",
    "Regularizer",
    "Tap",
    "Tape",
    "Term",
    "activations",
    "inject",
    "params",
    "register_owner",
    "schedules",
]
