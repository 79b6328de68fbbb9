"""How far a result may be from its oracle: derived from the arithmetic, never chosen, never loosened.

With u = 2⁻²⁴, n the number of terms (for most penalties that of elements, an elastic net has two for each) and S the
sum of their absolute values (the oracle's ``scale``):

=====  ====================================  ==================================================
level  what                                  bound
=====  ====================================  ==================================================
A      float64 value and gradient            1e-13 · S, or the factor of B and B′ times 2⁻⁵³ · S where that is more
B      float32 value                         B(n) · S, B(n) = (2 + log₂ n) u
B′     float32 gradient                      (3 + log₂ n) u · S, for each element, S its own
C      bfloat16 and float16, on rounded x    B; for a gradient B′ beyond its one rounding to the type
=====  ====================================  ==================================================

The 2 and the 3 are the roundings on the way to a term of a plain sum; an oracle whose terms take more states how many,
and one whose formula is no plain sum states the whole factor (``Expected`` says how both are counted).

There is no absolute tolerance: where every term of an element is zero the bound is zero and the result must be too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from parity_tests.oracles import Expected
from parity_tests.precision import DTYPES, Array, accumulator, unit

Quantity = Literal["value", "gradient"]

FLOAT64 = 1e-13
THROUGH_A_MODEL = 1e-12  # A′: loss and every parameter's gradient through a model in float64, normwise
WARN = 0.6  # the share of its bound from which a cell is named at the end of the run


@dataclass(frozen=True)
class Override:
    """A bound of its own, in units of u · S, with the largest error seen in the same units."""

    factor: Callable[[Expected], float]
    measured: str
    reason: str


# Note [Ratios]
# HoyerSquare is λ a²/b with sums a = Σ|x| and b = Σx² + eps. B(n) allows a sum log₂ n roundings and 2 for its terms and
# strength. The ratio has the error of a twice, 2 log₂ n, that of b once, log₂ n + 2 for the squares and eps, and 6 more
# from a², the quotient, the strength and the mean: (8 + 3 log₂ n) u S. The average over samples adds nothing, since a
# sample's own sums are shorter by as much.

# Note [Gram matrices]
# Matrix products do not sum pairwise: a gemm keeps one accumulator along a block of K and adds the blocks one after the
# other, so its rounding errors are a random walk of K steps, √K u in place of (log₂ K) u (Higham and Mary 2019, theorem
# 3.1). With G = WWᵀ for m rows of length K, E = G − I and A = |W||W|ᵀ + I:
#   value      δE ≤ (1 + √K) u A. A sum of m² squares and the strength add (2 + 2 log₂ m) u E², so that
#              δΣE² ≤ Σ 2|E| δE + ... ≤ (3 + √K + 2 log₂ m) u S with S = Σ 2|E|A + E².
#   gradient   4EW by a second product, over m: δ ≤ 4 δE |W| + (4 + √m) u · 4|E||W| ≤ (5 + √K + √m) u S with
#              S = 4A|W|, because |E| ≤ A.
# The oracle's scales are these S. A walk it is while rows are short: of squares on a running sum of many others the
# smallest are all rounded down, an error that grows with K itself. One product of 4 × 250,000 bfloat16 numbers was
# 776 u off on an AMD processor, where √K is 500. So both packages sum products of blocks of 8,192, for which
# √8,192 + log₂(K / 8,192) would do in place of √K.
OVERRIDES: dict[tuple[str, Quantity], Override] = {
    ("HoyerSquare", "value"): Override(
        lambda due: 8 + 3 * math.log2(max(due.n, 1)),
        measured="10.2 at n = 60 (JAX), where B(n) allows 7.9 and this 25.7",
        reason="Note [Ratios]",
    ),
    ("Orthogonal", "value"): Override(
        lambda due: max(3 + math.sqrt(k) + 2 * math.log2(m) for m, k in due.grams),
        measured="44 at 4 × 250,000 (bfloat16, both), where B(n) allows 22 and this 507",
        reason="Note [Gram matrices]",
    ),
    ("Orthogonal", "gradient"): Override(
        lambda due: max(5 + math.sqrt(k) + math.sqrt(m) for m, k in due.grams),
        measured="47 at 4 × 250,000 (bfloat16, both), where B′ allows 23 and this 507",
        reason="Note [Gram matrices]",
    ),
}


def level(quantity: Quantity, dtype: str) -> str:
    """The name of the row of the table that a comparison belongs to."""
    if dtype == "float64":
        return "A"
    if dtype == "float32":
        return "B" if quantity == "value" else "B′"
    return "C"


@dataclass(frozen=True)
class Bound:
    """What is allowed: an error, and beneath it the rounding of a result to a type narrower than its arithmetic."""

    allowed: Array
    rounding: Array


def factor(penalty: str, quantity: Quantity, expected: Expected) -> float:
    """The bound in units of u · S."""
    own = expected.factor if quantity == "value" else expected.gradient_factor
    if own is not None:
        return own
    if (penalty, quantity) in OVERRIDES and expected.n:
        return OVERRIDES[penalty, quantity].factor(expected)
    roundings = expected.roundings if quantity == "value" else expected.gradient_roundings
    return roundings + math.log2(max(expected.n, 1))


# Note [Blocks]
# On a CPU the code that inductor writes does not sum pairwise either. Of an array of more than 4,096 elements each lane
# of each thread adds blocks of 4,096, one element after the other, and the blocks pairwise; of a type narrower than
# float32 it adds all its elements one after the other. As above, k such steps are a random walk, √k u, and wherever a
# bound has log₂ n, for one sum, this mode has log₂ n + √k: no more than (1 + √k / log₂ n) times the whole.
BLOCK = 4096


def walk(mode: str, device: str, dtype: str, n: int) -> float:
    """What a bound is multiplied by in a mode, for an array of ``n`` elements; see Note [Blocks]."""
    if mode != "torch-inductor" or device != "cpu" or n <= BLOCK:
        return 1.0
    steps = BLOCK if dtype in ("float32", "float64") else n
    return 1 + math.sqrt(steps) / math.log2(n)


def bound(penalty: str, quantity: Quantity, dtype: str, expected: Expected, times: float = 1.0) -> Bound:
    """The largest error that is allowed: one number for a value, one for each element of a gradient.

    ``times`` is what ``walk`` says of a mode.
    """
    units = times * factor(penalty, quantity, expected)
    relative = max(FLOAT64, units * unit("float64")) if dtype == "float64" else units * unit("float32")
    if quantity == "value":
        allowed, due, result = np.asarray(relative * expected.scale), np.asarray(expected.value), accumulator(dtype)
    else:
        flushed = expected.gradient_underflow * DTYPES[accumulator(dtype)].smallest_normal
        allowed, due, result = relative * expected.gradient_scale + flushed, expected.gradient, dtype
    # Below the smallest normal number a result may be anything down to zero: JAX flushes what is subnormal.
    smallest = DTYPES[result].smallest_normal
    below = (due != 0) & (np.abs(due) < smallest) & (result != "float16")
    allowed = np.where(below, np.maximum(allowed, smallest), allowed)
    narrow = level(quantity, dtype) == "C" and quantity == "gradient"
    rounding = half_ulp(np.abs(due) + allowed, dtype) if narrow else np.zeros_like(allowed)
    return Bound(allowed, np.where(allowed > 0, rounding, 0.0))


def half_ulp(size: Array, dtype: str) -> Array:
    """Half a unit in the last place of numbers of this size; a constant below the normal numbers."""
    _, exponent = np.frexp(np.maximum(size, DTYPES[dtype].smallest_normal))
    return np.ldexp(unit(dtype), exponent - 1)
