"""What L1 on the outputs of four ReLUs adds to a training step in PyTorch, eagerly: a wide network and a small one."""

from __future__ import annotations

from .results import Grid, Section, Target
from .timing import Settings, rounds
from .torch_steps import APPLY, ATTACH, HAND, HIDDEN, PLAIN, check, eager, floors, off

FLOORS = (
    "The floors add nothing to the loss: a penalty in a hook takes no less than the first, and L1 with its gradient "
    "more than the second."
)


def run(settings: Settings) -> list[Section]:
    """The wide network, in which arithmetic costs, and the small one, in which Python does."""
    return [wide(settings), small(settings)]


def wide(settings: Settings) -> Section:
    """Arithmetic and memory dominate."""
    batch, width = (512, 128) if settings.quick else (4096, 512)
    section = _section("PyTorch eager: L1 on 4 ReLUs of an MLP", batch, width, settings)
    ratio, judged = section.over(ATTACH, PLAIN), not settings.quick
    hand = section.over(HAND, PLAIN)
    overhead = (ratio - 1) / (hand - 1) if hand > 1 else float("inf")
    section.targets = [
        Target("reg.attach ÷ unpenalised", ratio, "<=", 1.06, judged),
        Target("overhead of reg.attach ÷ overhead by hand", overhead, "<=", 0.5, judged),
    ]
    return section


def small(settings: Settings) -> Section:
    """Python dominates."""
    section = _section("PyTorch eager, small: L1 on 4 ReLUs of an MLP", 256, 128, settings)
    each = (section.median(ATTACH) - section.median(PLAIN)) / HIDDEN * 1e6
    section.targets = [
        Target("reg.attach ÷ unpenalised", section.over(ATTACH, PLAIN), "<=", 1.20, not settings.quick),
        Target("reg.attach, per hooked module and step", each, "<=", 15.0, not settings.quick, "µs"),
    ]
    section.notes.append(f"{APPLY} attaches and detaches at every step; a loop that counts microseconds attaches once.")
    return section


def _section(title: str, batch: int, width: int, settings: Settings) -> Section:
    steps = eager(batch, width, settings.device)
    check(steps)
    conditions = f"training step, batch {batch} × {width} wide, 4 hidden layers, float32, SGD"
    grid = Grid(
        "the penalty's distance from exact sums, in u",
        ["candidate", "error / u"],
        [[name, error] for name, error in off(steps).items()],
    )
    timings = rounds(steps | floors(steps[PLAIN]), settings)
    return Section("activations", title, conditions, timings, PLAIN, HAND, [grid], notes=[FLOORS])
