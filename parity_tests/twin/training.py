"""Penalties, gradients and a short training, in flax's layout.

Note [Gradients]
A gradient is compared for each layer, normwise: ‖Δ‖ against ‖g‖ of the layer. Where a sum cancels, as in the gradient
of an attention's key bias, which is zero but for rounding, what is left is noise of some u of the whole gradient and
not of the layer's own; so a layer is allowed at least 9 u ‖g‖ of the whole (u the unit roundoff of the dtype).

Note [Trajectories]
Two trainings that commit rounding errors of relative size ε in each step drift apart as the training itself amplifies
what it is given; how much is a property of the model, the optimizer and its rate. It is measured in torch alone: the
training is repeated twice from weights that are changed at random by the relative size of the bound of one pass, and

    allowed(t) = (t + 1) · max over s ≤ t and both repetitions of (bound · |L(s)|, |L̃(s) − L(s)|),

where t + 1 counts the steps that have committed an error by then. The growth is what allowed(t) is in units of
bound · |L(t)|. More than 1e-6 · |L(t)| is never allowed: what needs more is too chaotic to be called equal. In float32
only the loss after the first step is gated (at the bound itself), because float32 trajectories drift apart by design.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .flax_side import FlaxSide
from .measured import largest, norm, ratio
from .porting import Move, Plan
from .report import Row
from .sides import Sides
from .torch_side import TorchSide
from .traces import Pass

_CEILING = 1e-6


def penalty_rows(plan: Plan, ours: Pass, theirs: Pass, bound: float) -> Iterator[Row]:
    """Every term, and the total; of a term that differs, the paths where it does."""
    for name in dict.fromkeys([*ours.terms, *theirs.terms]):
        if name not in ours.terms or name not in theirs.terms:
            side = "flax" if name in ours.terms else "torch"
            yield Row("penalty", name, name, error=float("inf"), bound=bound, note=f"{side} has no such term")
            continue
        one, two = ours.terms[name], theirs.terms[name]
        note = _values(one, two, bound)
        if note:
            note = f"{note}; {_paths(plan, ours.layers[name], theirs.layers[name], bound)}"
        yield Row("penalty", name, name, "scalar", _scalar(two, one), bound, note)
    if ours.terms or theirs.terms:
        error = _scalar(theirs.total, ours.total)
        yield Row("penalty", "(total)", "(total)", "scalar", error, bound, _values(ours.total, theirs.total, bound))


def _paths(plan: Plan, ours: Mapping[str, float], theirs: Mapping[str, float], bound: float) -> str:
    """What each side has alone, and the first pair of paths with two values, through the places of the weights."""
    twins = {pair.torch.title: pair.flax.title for pair in plan.pairs}
    twins |= {source: move.place.target for move in plan.moves for source in move.place.sources}
    known = {path: twins.get(path, path) for path in ours}
    alone = [f"torch alone has {path}" for path, twin in known.items() if twin not in theirs]
    alone += [f"flax alone has {path}" for path in theirs if path not in known.values()]
    differing = [
        f"{path} {_values(value, theirs[known[path]], bound)}"
        for path, value in ours.items()
        if known[path] in theirs and _values(value, theirs[known[path]], bound)
    ]
    more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
    return "; ".join([*differing[:1], *alone[:3]]) + more


def loss_row(ours: Pass, theirs: Pass, bound: float) -> Row:
    """The loss, penalties included."""
    note = _values(ours.loss, theirs.loss, bound)
    return Row("loss", "(loss)", "(loss)", "scalar", _scalar(theirs.loss, ours.loss), bound, note)


def _scalar(got: float, due: float) -> float:
    return largest(np.array(got), np.array(due))


def _values(one: float, two: float, bound: float) -> str:
    return "" if _scalar(two, one) <= bound else f"{one:.9g} and {two:.9g}"


def gradient_rows(plan: Plan, ours: Pass, theirs: Pass, held: Sides, dtype: str, bound: float) -> Iterator[Row]:
    """One row for each layer. See Note [Gradients]."""
    layers: dict[tuple[str, str], list[Move]] = {}
    for move in plan.moves:
        if move.place.target in theirs.gradients and all(source in ours.gradients for source in move.place.sources):
            layers.setdefault((move.layer, move.twin), []).append(move)
    whole = norm(ours.gradients.values())
    floor = 9 * float(np.finfo(dtype).eps) / 2 * whole / bound
    for (layer, twin), moves in layers.items():
        gaps: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for move in moves:
            gaps |= _gaps(move, ours.gradients, theirs.gradients, held)
        scale = norm(due for due, _ in gaps.values())
        errors = {name: norm([got - due]) for name, (due, got) in gaps.items()}
        error = ratio(norm([np.array(list(errors.values()))]), max(scale, floor))
        error = error if np.isfinite(error) else float("inf")
        worst = max(errors, key=lambda name: (errors[name] != errors[name], errors[name]))
        elements = sum(due.size for due, _ in gaps.values())
        note = "" if error <= bound else f"most of it in {worst}"
        yield Row("gradient", layer, twin, f"{elements} elements", error, bound, note)


def _gaps(
    move: Move, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], held: Sides
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Torch's gradient in flax's layout and flax's own, for each source: every summand has the gradient of the sum."""
    place, got = move.place, theirs[move.place.target]
    if not place.summed:
        return {" and ".join(place.sources): (place(dict(ours), move.shape), got)}
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for source in place.sources:
        there = place.share(source, np.ones_like(ours[source])) != 0
        found[source] = (np.where(there, place.share(source, ours[source]), 0.0), np.where(there, got, 0.0))
    return found


def trajectory_rows(
    sides: Sides,
    weights: Mapping[str, np.ndarray],
    objectives: Sides,
    held: Sides,
    how: Mapping[str, Any],
    dtype: str,
    bound: float,
) -> Iterator[Row]:
    """The loss after each step. See Note [Trajectories]."""
    torch: TorchSide = sides.torch
    flax: FlaxSide = sides.flax
    steps = how["steps"]
    theirs = flax.train(objectives.flax, held=held.flax, **how)
    trained = []
    draw = np.random.default_rng(0)
    for repetition in range(3 if dtype == "float64" else 1):
        torch.load({name: _shaken(array, draw, bound if repetition else 0.0) for name, array in weights.items()})
        trained.append(np.array(torch.train(objectives.torch, held=held.torch, **how)))
    torch.load(dict(weights))
    ours = trained[0]
    spread = np.max([bound * np.abs(ours), *(np.abs(other - ours) for other in trained[1:])], axis=0)
    allowed = (1 + np.arange(steps + 1)) * np.maximum.accumulate(spread)
    for step in range(1, steps + 1):
        size = float(np.abs(ours[step]))
        limit = ratio(float(allowed[step]), size)
        growth = f"growth {limit / bound:.2g}" if dtype == "float64" else ""
        if dtype != "float64":
            limit = bound if step == 1 else None
        elif not limit <= _CEILING:
            growth, limit = f"{growth}, more than may be allowed", _CEILING
        error = _scalar(theirs[step], float(ours[step]))
        name = f"{how['optimizer']} {step}"
        yield Row("step", name, name, "scalar", error, limit, growth)


def _shaken(array: np.ndarray, draw: np.random.Generator, relative: float) -> np.ndarray:
    """Weights changed at random, each by up to a relative size of the largest."""
    if not relative or not np.issubdtype(array.dtype, np.floating) or not array.size:
        return array
    return array + relative * float(np.max(np.abs(array))) * draw.uniform(-1, 1, size=array.shape).astype(array.dtype)
