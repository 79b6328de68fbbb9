"""One model written twice, by anybody: are the two the same?

``compare(torch_model, flax_model, batch)`` ports the weights of a PyTorch module to its Flax twin (linen or nnx), runs
both, and says which layer is the first to differ and by how much; then it compares penalties, gradients and a short
training. ``port`` does the first step alone, and ``rule`` teaches both a layer of one's own. ``docs/twin.md`` is the
guide. Neither model is changed.

Needs both frameworks: ``pip install 'twinreg[all]'``.
"""

from .compared import compare
from .entries import added, moved, setting, unused, zero
from .ported import port
from .registry import rule
from .report import Difference, Report, Row
from .sides import PortError, Sides

__all__ = [
    "Difference",
    "PortError",
    "Report",
    "Row",
    "Sides",
    "added",
    "compare",
    "moved",
    "port",
    "rule",
    "setting",
    "unused",
    "zero",
]
