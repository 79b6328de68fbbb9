"""The regularizer of each network: every kind of target, of ``per``, of mask and of run-time value."""

from __future__ import annotations

from parity_tests.configs import config
from parity_tests.models.terms import TermSpec, half, spec

L1, L2, NET = config("L1", strength=0.03), config("L2", strength=0.02), config("ElasticNet", l1=0.01, l2=0.02)
NORM, HOYER = config("L2Norm", strength=0.05), config("HoyerSquare", strength=0.01)
ROWS, COLUMNS = config("GroupLasso", strength=0.02), config("GroupLasso", strength=0.02, groups="in")
SHAPES = config("GroupLasso", strength=0.02, groups="kernel")
SHORTER, BOTH = config("Orthogonal", strength=0.02), config("Orthogonal", strength=0.02, side="both")
FEATURES = config("GroupLasso", strength=0.02, groups="feature")
PLACES = config("GroupLasso", strength=0.02, groups="position")
VECTORS = config("GroupLasso", strength=0.02, groups=("sample", "position"), size_weighted=False)
PER = ("batch", "example", "position", "element")

FIRST, SECOND = ("first.kernel", "first.bias"), ("second.kernel", "second.bias")
KERNELS = ("first.kernel", "second.kernel")
MLP_TERMS: tuple[TermSpec, ...] = (
    spec("decay", L2, "params", "**", *KERNELS, role="kernel"),
    spec("biases", L1, "params", "**", "first.bias", "second.bias", role="bias"),
    spec("all of first", NET, "params", "**", *FIRST, exclude="second.*"),
    spec("rows", ROWS, "params", "**", *KERNELS, role="kernel"),
    spec("columns", COLUMNS, "params", "first.*", "first.kernel", role="kernel"),
    spec("orthogonal", SHORTER, "params", "*.*", *KERNELS, role=("kernel", "embedding")),
    spec("joint", NORM, "params", "second.*", *SECOND, joint=True),
    spec("few weights", HOYER, "params", "first.*", "first.kernel", role="kernel"),
    *(spec(f"sparse per {per}", L1, "activations", "act", "act", per=per) for per in PER),
    *(spec(f"masked per {per}", NET, "activations", "first", "first", per=per, mask="rows") for per in PER),
    spec("few units", HOYER, "activations", "act", "act"),
    spec("few units, masked", HOYER, "activations", "first", "first", mask="rows"),
    spec("features", FEATURES, "activations", "first", "first", mask="rows"),
    spec("scores", L2, "activations", "*ond", "second"),
    spec("input", L1, "activations", "second", "second", of="input"),
    spec("weighted", L1, "activations", ("first", "second"), "first", "second", weight=2.5),
    spec("scheduled", L2, "params", "second.*", "second.kernel", role="kernel", schedule=half, weight=0.5),
)

CONVOLUTIONS = ("conv1.kernel", "conv2.kernel")
CNN_TERMS: tuple[TermSpec, ...] = (
    spec("decay", L2, "params", "**", *CONVOLUTIONS, "head.kernel", role="kernel"),
    spec("filters", ROWS, "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("channels", COLUMNS, "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("shapes", SHAPES, "params", "conv*.*", *CONVOLUTIONS, role="kernel"),
    spec("orthogonal", BOTH, "params", "**", *CONVOLUTIONS, "head.kernel", role="kernel"),
    spec("slimming", L1, "params", "**", "norm1.scale", "norm2.scale", role="scale"),
    spec("biases", L2, "params", "**", "conv1.bias", "conv2.bias", "head.bias", role="bias", exclude="norm?.*"),
    spec("all of norm", NET, "params", "norm[12].*", "norm1.scale", "norm1.bias", "norm2.scale", "norm2.bias"),
    spec("joint", NORM, "params", "**", *CONVOLUTIONS, "head.kernel", role="kernel", joint=True),
    *(spec(f"maps per {per}", L1, "activations", "conv*", "conv1", "conv2", per=per) for per in PER),
    *(spec(f"places per {per}", L2, "activations", "conv1", "conv1", per=per, mask="places") for per in PER),
    *(spec(f"units per {per}", NET, "activations", "act2", "act2", per=per, mask="rows", laid_out=True) for per in PER),
    spec("features", FEATURES, "activations", "conv2", "conv2", mask="places"),
    spec("positions", PLACES, "activations", "norm1", "norm1"),
    spec("vectors", VECTORS, "activations", "norm2", "norm2", per="position"),
    spec("few units", HOYER, "activations", "act*", "act1", "act2", mask="places", laid_out=True),
    spec("whole", NORM, "activations", "conv1", "conv1"),
    spec("scores", L2, "activations", "head", "head", per="element"),
    spec("input", L1, "activations", "head", "head", of="input"),
    spec("weighted", L1, "activations", "act1", "act1", weight=2.5),
    spec("scheduled", L2, "params", "conv2.*", "conv2.kernel", role="kernel", schedule=half, weight=0.5),
)  # fmt: skip

TERMS = {"mlp": MLP_TERMS, "cnn": CNN_TERMS}
