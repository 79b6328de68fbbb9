"""The comparison of two models, from weights to a short training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from parity_tests.bounds import THROUGH_A_MODEL
from torchreg._spec.errors import choice, flag, sentence

from .configs import regularizers_of
from .flax_side import FlaxSide, precision
from .layerwise import layer_rows, output_rows
from .measured import largest, size
from .ported import prepare
from .porting import Plan, plan, refuse_leftovers
from .report import Report, Row, gathered
from .sides import Sides, both
from .torch_side import TorchSide
from .training import gradient_rows, loss_row, penalty_rows, trajectory_rows

BOUNDS = {"float64": THROUGH_A_MODEL, "float32": 1e-6}


def compare(
    torch_model: Any,
    flax_model: Any,
    batch: Any,
    *,
    regularizer: Any = None,
    patterns: Mapping[str, str] | None = None,
    variables: Any = None,
    names: Mapping[str, str] | None = None,
    ignore: tuple[str, ...] = (),
    output: Any = None,
    loss: Any = None,
    weights: Literal["port", "given"] = "port",
    train: bool = False,
    optimizer: Literal["adam", "sgd"] = "adam",
    rate: float = 1e-3,
    steps: int = 20,
    dtype: Literal["float64", "float32"] = "float64",
) -> Report:
    """Compares a torch model with its flax twin: weights, layers, output, penalties, gradients, a short training.

    Wherever the two sides need different things, ``Sides(torch=..., flax=...)`` holds both. Neither model is changed,
    and a difference raises nothing: it is in the report.

    Args:
        torch_model: a ``torch.nn.Module``.
        flax_model: a ``flax.linen.Module`` or a ``flax.nnx.Module``.
        batch: what the models are called with: a NumPy array, a tuple of arguments, a dict of keywords, or a tuple of
            both. Axes are never moved: give channel-first images as ``Sides(torch=nchw, flax=nhwc)``.
        regularizer: a ``Sides`` of a ``torchreg.Regularizer`` and a ``jaxreg.Regularizer``, or what their
            ``from_dict`` takes, for both or as ``Sides``.
        patterns: of one config for both, the patterns (and types) of its targets that have another name in flax.
        variables: those of a linen module; by default it is initialised.
        names: torch name to flax name, of layers or of parameters, where the order does not pair them.
        ignore: patterns of names, of either side, that need no place.
        output: called with what a model returns, it gives what is to be compared, in the same axes on both sides.
        loss: called with what a model returns, it gives a scalar. By default ½ mean (y − cos k)².
        weights: ``"port"`` puts torch's weights into the flax model; ``"given"`` compares the models as they are.
        train: whether both are in training mode (a linen module is told by its own arguments).
        optimizer: ``"adam"`` or ``"sgd"``, without momentum or decay.
        rate: its learning rate.
        steps: how many steps; 0 for none.
        dtype: what both compute in.

    Raises:
        LookupError: a pattern of the regularizer matches nothing.
        PortError: a parameter has no place on the other side, or the layers cannot be paired.
        TypeError: an argument is of the wrong kind.
        ValueError: an argument has a wrong value, or the outputs cannot be compared without ``output``.
    """
    _check(weights, train, optimizer, rate, steps, dtype)
    regularizers = regularizers_of(regularizer, patterns or {})
    with precision(dtype) as wide:
        models = Sides(torch_model, flax_model)
        torch, flax, traces = prepare(models, variables, batch, dtype, train, output, wide)
        if len(traces[0].outputs) != len(traces[1].outputs) or not traces[0].outputs:
            counts = tuple(len(trace.outputs) for trace in traces)
            expected = "given where the models do not return equally many floating arrays, at least one"
            raise ValueError(sentence("compare", "output", expected, counts))
        made = plan(torch, flax, traces, names or {}, ignore)
        rows = list(_weight_rows(made, torch, flax, weights, BOUNDS[dtype]))
        traces = (traces[0], flax.trace())
        rows += layer_rows(made, traces, BOUNDS[dtype])
        rows += output_rows(traces, BOUNDS[dtype])
        how = {"optimizer": optimizer, "rate": rate, "steps": steps}
        rows += _training_rows(made, Sides(torch, flax), regularizers, both(loss), how, dtype)
        differing = [
            (layer, f"{s.name} is {s.torch} in torch and {s.flax} in flax")
            for layer, found in made.settings.items()
            for s in found
        ]
        notes = (*gathered([*made.notes, *differing]), *flax.notes)
        return Report(tuple(rows), (len(torch.arrays()), len(flax.arrays())), notes, dtype)


def _check(weights: Any, train: Any, optimizer: Any, rate: Any, steps: Any, dtype: Any) -> None:
    choice("compare", "weights", weights, ("port", "given"))
    choice("compare", "optimizer", optimizer, ("adam", "sgd"))
    choice("compare", "dtype", dtype, tuple(BOUNDS))
    flag("compare", "train", train)
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(sentence("compare", "steps", "an integer >= 0", steps))
    if steps < 0:
        raise ValueError(sentence("compare", "steps", "an integer >= 0", steps))
    if not isinstance(rate, float):
        raise TypeError(sentence("compare", "rate", "a float > 0", rate))
    if not rate > 0:
        raise ValueError(sentence("compare", "rate", "a float > 0", rate))


def _weight_rows(made: Plan, torch: TorchSide, flax: FlaxSide, weights: str, bound: float) -> Iterator[Row]:
    """Ports the weights; or compares those that are there, what has no place being a difference."""
    if weights == "port":
        refuse_leftovers(made)
        flax.load(made.ported(torch.arrays(), flax.arrays()))
        return
    ours, theirs = torch.arrays(), flax.arrays()
    due = made.ported(ours, theirs)
    left: dict[str, list[str]] = {}
    for item in made.leftovers:
        side, _, name = item.partition(": ")
        left.setdefault(_layer_of(made, side, name.split(" ")[0]), []).append(item)
    for move in made.moves:
        target = move.place.target
        error = largest(theirs[target], due[target])
        for item in left.pop(move.layer, []):
            yield Row("weights", move.layer, move.twin, error=float("inf"), bound=bound, note=f"only in {item}")
        note = "" if error <= bound else f"{' and '.join(move.place.sources)} as {target}"
        yield Row("weights", move.layer, move.twin, size(theirs[target]), error, bound, note)
    for layer, items in left.items():
        for item in items:
            yield Row("weights", layer, layer, error=float("inf"), bound=bound, note=f"only in {item}")


def _layer_of(made: Plan, side: str, name: str) -> str:
    for pair in made.pairs:
        if (pair.torch if side == "torch" else pair.flax).owns(name):
            return pair.torch.title
    return name


def _training_rows(
    made: Plan, sides: Sides, regularizers: Sides, losses: Sides, how: dict[str, Any], dtype: str
) -> Iterator[Row]:
    """Penalties, loss, gradients, steps."""
    torch, flax, bound = sides.torch, sides.flax, BOUNDS[dtype]
    before: dict[str, np.ndarray] = torch.arrays()
    objectives = Sides(
        torch.objective(regularizers.torch, losses.torch), flax.objective(regularizers.flax, losses.flax)
    )
    ours, theirs = torch.run(objectives.torch), flax.run(objectives.flax)
    yield from penalty_rows(made, ours, theirs, bound)
    yield loss_row(ours, theirs, bound)
    held = made.held(before, flax.arrays())
    yield from gradient_rows(made, ours, theirs, held, dtype, bound)
    if how["steps"]:
        yield from trajectory_rows(sides, before, objectives, held, how, dtype, bound)
