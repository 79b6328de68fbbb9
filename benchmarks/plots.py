"""Draws cost and accuracy over the number of elements, both axes logarithmic."""

from __future__ import annotations

from pathlib import Path

from .results import Grid, Section

OURS = ("torchreg", "jaxreg")


def draw(sections: list[Section], folder: Path) -> list[Path]:
    """Writes one picture for each question that has sizes; returns where."""
    found = [section for section in sections if section.question == "scaling" and not section.aborted]
    if not found:
        return []
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    grids = {grid.title: grid for section in found for grid in section.grids}
    return [
        _picture(grids["milliseconds"], folder / "cost.png", "milliseconds, value and gradient"),
        _picture(grids["error / u"], folder / "accuracy.png", "error in units of u = 2⁻²⁴"),
    ]


def _picture(grid: Grid, path: Path, label: str) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    sizes = [row[0] for row in grid.rows]
    for place, name in enumerate(grid.columns[1:], start=1):
        # An error of exactly 0 has no logarithm: it is drawn at the bottom.
        values = [max(row[place], 1e-2) if "error" in grid.title else row[place] for row in grid.rows]
        ours, bound = name.startswith(OURS), name.startswith("B(n)")
        style = "k--" if bound else "o-" if ours else "x:"
        axes.loglog(sizes, values, style, label=name, linewidth=2 if ours else 1)
    axes.set(xlabel="elements, normal float32", ylabel=label, title="The L1 norm, by size")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    return path
