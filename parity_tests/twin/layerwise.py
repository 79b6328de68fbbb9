"""Layer by layer: the first pair whose outputs differ, or whose inputs already do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .measured import largest, size
from .pairing import Pair
from .porting import Plan
from .report import Row
from .traces import Call, Trace


def layer_rows(plan: Plan, traces: tuple[Trace, Trace], bound: float) -> Iterator[Row]:
    """Two rows at most for each pair: one of its input where that differs, one of its output."""
    before, seen = "", set()
    for pair in plan.pairs:
        name = pair.torch.name
        if name in seen:
            continue
        seen.add(name)
        twin = _twin(pair, plan, traces[1])
        ours, theirs = traces[0].calls.get(name, []), traces[1].calls.get(twin or "", []) if twin is not None else []
        title, other = (name or "(root)"), (twin or "(root)") if twin is not None else pair.flax.title
        reason = _incomparable(pair, plan, twin, ours, theirs)
        if reason:
            yield Row("layer", title, other, note=reason)
            continue
        for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
            call = f", call {number + 1}" if len(ours) > 1 else ""
            yield from _call_rows(plan, pair, (f"{title}{call}", other), (one, two), before, bound, traces[1], twin)
        before = title


def _twin(pair: Pair, plan: Plan, trace: Trace) -> str | None:
    """The flax module whose output stands for the torch module's; None where there is none."""
    if not pair.torch.label:
        name = pair.flax.name
        return trace.standing_for.get(name, name)
    cells = [other.flax.name for other in plan.pairs if other.torch.name == pair.torch.name]
    last = trace.standing_for.get(cells[-1])
    outer = trace.standing_for.get(last or "")
    if pair.torch.module.bidirectional:
        return outer
    return last


def _incomparable(pair: Pair, plan: Plan, twin: str | None, ours: list[Call], theirs: list[Call]) -> str:
    if twin is None:
        return "no module of flax gives what this one gives"
    if not ours or not theirs:
        side = "torch" if not ours else "flax"
        return f"it was not called as a module on the {side} side"
    if len(ours) != len(theirs):
        return f"called {len(ours)} times in torch and {len(theirs)} times in flax"
    if any(call.made is None for call in ours):
        return "torch's output has no floating array"
    if any(call.made is None for call in theirs):
        return "a transform hides flax's output"
    return ""


def _call_rows(
    plan: Plan,
    pair: Pair,
    titles: tuple[str, str],
    calls: tuple[Call, Call],
    before: str,
    bound: float,
    trace: Trace,
    twin: str | None,
) -> Iterator[Row]:
    module = trace.modules.get(twin or "", pair.flax.module)
    one, two = calls

    def adapted(array: np.ndarray) -> np.ndarray:
        return array if pair.rule.adapt is None else pair.rule.adapt(pair.torch.module, module, array)

    equal_inputs = ""
    if one.given is not None and two.given is not None and not pair.torch.label:
        given = adapted(one.given)
        if given.shape == two.given.shape:
            equal_inputs = "its inputs are equal"
            error = largest(two.given, given)
            if not error <= bound:
                where = f"after {before}, " if before else ""
                note = f"{where}before this layer: its input differs already"
                yield Row("layer", *titles, size(given), error, bound, note)
                return
    if one.made is None or two.made is None:
        return
    made = adapted(one.made)
    if made.shape != two.made.shape:
        yield Row("layer", *titles, note=f"shapes {size(made)} and {size(two.made)}")
        return
    error = largest(two.made, made)
    settings = [f"{s.name} {s.torch} and {s.flax}" for s in plan.settings.get(pair.torch.title, [])]
    note = "" if error <= bound else "; ".join(filter(None, [equal_inputs, *settings]))
    yield Row("layer", *titles, size(made), error, bound, note)


def output_rows(traces: tuple[Trace, Trace], bound: float) -> Iterator[Row]:
    """What the two models return."""
    ours, theirs = traces[0].outputs, traces[1].outputs
    for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
        name = "(output)" if len(ours) == 1 else f"(output {number})"
        yield Row("output", name, name, size(one), largest(two, one), bound)
