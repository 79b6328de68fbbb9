"""The example's figure: accuracy and zeros against λ, both backends drawn over each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _digits_table import NAMES, Row
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

INK = "#333333"
COLOURS = {"relu1": "#0072B2", "relu2": "#D55E00", "relu3": "#009E73", "all": INK}  # colour-blind readers see four
MEANING = {"relu1": "convolution 1", "relu2": "convolution 2", "relu3": "fully connected", "all": "all ReLU outputs"}
STYLES: Mapping[str, Mapping[str, Any]] = {  # a filled dot in a ring: neither backend hides the other
    "torch": {"linestyle": "-", "linewidth": 2.4, "marker": "o", "markersize": 5, "alpha": 0.55},
    "jax": {"linestyle": "--", "linewidth": 1.2, "marker": "o", "markersize": 10, "markerfacecolor": "none"},
}


def write_figure(rows: Sequence[Row], chosen: float, title: str, path: Path) -> None:
    places = positions(sorted({row.strength for row in rows}))
    figure = Figure(figsize=(7.2, 6.2), layout="constrained")
    figure.suptitle(title, fontsize=11)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    for backend in dict.fromkeys(row.backend for row in rows):
        mine = [row for row in rows if row.backend == backend]
        x = [places[row.strength] for row in mine]
        deviations = [0 if math.isnan(row.deviation) else row.deviation for row in mine]
        top.errorbar(x, [row.test for row in mine], deviations, color=INK, capsize=3, **STYLES[backend])
        for layer in COLOURS:
            bottom.plot(x, [row.zeros[layer] for row in mine], color=COLOURS[layer], **STYLES[backend])
    top.set_ylabel("test accuracy, %")
    low = min(row.test - (0 if math.isnan(row.deviation) else row.deviation) for row in rows)
    top.set_ylim(min(94, math.floor(low) - 1), 100)
    bottom.set_ylabel("zeros among the ReLU outputs, %")
    bottom.set_ylim(0, 102)
    finish(top, bottom, places, chosen)
    legends(top, bottom, rows)
    figure.savefig(path, dpi=160)


def positions(strengths: Sequence[float]) -> dict[float, float]:
    """Where each λ stands: at its logarithm, and 0, which has none, a little to the left of all."""
    logs = {strength: math.log10(strength) for strength in strengths if strength}
    if 0 not in strengths:
        return logs
    return {0.0: min(logs.values(), default=0) - 0.6} | logs


def finish(top: Axes, bottom: Axes, places: Mapping[float, float], chosen: float) -> None:
    """The grid, the chosen λ, the ticks and the break between 0 and the logarithmic part of the axis."""
    for axes in (top, bottom):
        axes.axvspan(places[chosen] - 0.07, places[chosen] + 0.07, color="#F0E442", alpha=0.4, linewidth=0, zorder=0)
        axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    bottom.set_xticks(list(places.values()), [power(strength) for strength in places])
    bottom.xaxis.set_minor_locator(NullLocator())
    bottom.set_xlabel("strength λ of the L1 penalty")
    if 0 in places and len(places) > 1:
        middle = sum(sorted(places.values())[:2]) / 2
        for axes in (top, bottom):
            gap = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(middle, 0, "//", transform=axes.get_xaxis_transform(), ha="center", va="center", bbox=gap)
    side, align = (1, "left") if places[chosen] == min(places.values()) else (-1, "right")
    top.text(places[chosen] + 0.1 * side, 99.8, "chosen by validation", ha=align, va="top", fontsize=9, color=INK)


def power(strength: float) -> str:
    if not strength:
        return "0"
    mantissa, exponent = f"{strength:.1e}".split("e")
    times = "" if float(mantissa) == 1 else rf"{float(mantissa):g}\cdot"
    return rf"${times}10^{{{int(exponent)}}}$"


def legends(top: Axes, bottom: Axes, rows: Sequence[Row]) -> None:
    backends = dict.fromkeys(row.backend for row in rows)
    lines = [Line2D([], [], color=INK, label=NAMES[backend], **STYLES[backend]) for backend in backends]
    top.legend(handles=lines, loc="lower left", ncols=2, frameon=False, handlelength=3)
    lines = [Line2D([], [], color=COLOURS[name], linewidth=2.4, label=MEANING[name]) for name in COLOURS]
    bottom.legend(handles=lines, loc="lower left", ncols=2, frameon=False)
