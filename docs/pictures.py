"""Draws every penalty and its gradient, from both backends: `python docs/pictures.py [family ...]`.

The figures go to `docs/penalties/`. Two numbers (a, b) are enough to see what a penalty does. On the left are its level
sets over that plane, with arrows down the gradient; on the right its value and its derivative along the dotted line,
PyTorch as a line and JAX as dots upon it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import torch
from _pictures_table import PICTURES, Array, Picture
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxreg
import torchreg

HERE = Path(__file__).resolve().parent / "penalties"
INK, VALUE, SLOPE = "#333333", "#0072B2", "#D55E00"


def torch_values(picture: Picture, a: Array, b: Array) -> tuple[Array, Array]:
    """The penalty at every (a, b), and its gradient with respect to (a, b), in PyTorch."""
    penalty = picture.make(torchreg)

    def at(point: torch.Tensor) -> torch.Tensor:
        rows = picture.array(point[0], point[1])
        return penalty(_nested(rows, torch.stack), axes=picture.axes)

    points = torch.from_numpy(np.stack([a, b], axis=-1))
    both = [torch.func.grad_and_value(at)(point) for point in points]
    return np.array([value.item() for _, value in both]), np.array([slope.numpy() for slope, _ in both])


def jax_values(picture: Picture, a: Array, b: Array) -> tuple[Array, Array]:
    """The same in JAX."""
    with jax.enable_x64(True):
        penalty = picture.make(jaxreg)

        def at(point: jax.Array) -> jax.Array:
            return penalty(_nested(picture.array(point[0], point[1]), jnp.stack), axes=picture.axes)

        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(at)))(jnp.asarray(np.stack([a, b], axis=-1)))
        return np.asarray(values), np.asarray(slopes)


def _nested(rows: Any, stack: Callable[[list[Any]], Any]) -> Any:
    return stack([_nested(row, stack) for row in rows]) if isinstance(rows, list) else rows


def along(picture: Picture, points: int = 121) -> tuple[Array, Array, Array, Array]:
    """t, a(t), b(t) along the line of a picture, and the direction of the line, one (a, b) for each t."""
    t = np.linspace(*picture.reach, points)
    a, b = picture.line(t)
    return t, a, b, np.stack([np.gradient(a, t), np.gradient(b, t)], axis=-1)


def draw_plane(axes: Axes, picture: Picture) -> None:
    """Level sets, and arrows down the gradient."""
    low, high = picture.reach
    fine = np.linspace(low, high, 101)
    a, b = np.meshgrid(fine, fine)
    values, _ = jax_values(picture, a.ravel(), b.ravel())
    axes.contourf(a, b, values.reshape(a.shape), levels=14, cmap="Blues")
    axes.contour(a, b, values.reshape(a.shape), levels=14, colors=INK, linewidths=0.4)
    margin = (high - low) / 20
    coarse = np.linspace(low + margin, high - margin, 12)
    p, q = np.meshgrid(coarse, coarse)
    _, slopes = jax_values(picture, p.ravel(), q.ravel())
    length = np.linalg.norm(slopes, axis=-1, keepdims=True)
    arrows = -slopes / np.where(length > 1e-9, length, 1.0) * np.minimum(length / max(length.max(), 1e-9), 1.0) ** 0.5
    axes.quiver(p, q, arrows[:, 0], arrows[:, 1], color=SLOPE, scale=22, width=0.005, pivot="mid")
    line_a, line_b = along(picture)[1:3]
    axes.plot(line_a, line_b, color=VALUE, linestyle=":", linewidth=1.2)
    axes.set_xlabel("a")
    axes.set_ylabel("b", rotation=0)
    axes.set_aspect("equal")
    axes.set_title(picture.words, fontsize=8)


def draw_line(axes: Axes, picture: Picture) -> None:
    """Value and derivative along the line: PyTorch as lines, JAX as dots."""
    t, a, b, direction = along(picture)
    for values, style in ((torch_values, {"linewidth": 2.2}), (jax_values, {"marker": ".", "markevery": 6, "lw": 0})):
        value, slope = values(picture, a, b)
        name = "PyTorch" if values is torch_values else "JAX"
        axes.plot(t, value, color=VALUE, label=f"value, {name}", **style)
        axes.plot(t, (slope * direction).sum(-1), color=SLOPE, label=f"derivative, {name}", **style)
    axes.axhline(0, color=INK, linewidth=0.5)
    axes.set_xlabel(f"a, at {picture.line_words}")
    axes.legend(fontsize=6, framealpha=0.6)


def draw(family: str) -> Path:
    """The figure of a family: a row for each of its penalties."""
    pictures = PICTURES[family]
    figure = Figure(figsize=(7.2, 2.7 * len(pictures)), layout="constrained")
    grid = figure.subplots(len(pictures), 2, squeeze=False, width_ratios=(2, 3))
    for (left, right), picture in zip(grid, pictures.values(), strict=True):
        draw_plane(left, picture)
        draw_line(right, picture)
        right.set_title(str(picture.make(torchreg)), fontsize=6)
    path = HERE / f"{family}.png"
    figure.savefig(path, dpi=95, metadata={"Software": f"matplotlib {matplotlib.__version__}"})
    return path


if __name__ == "__main__":
    print(f"torch {torch.__version__}, jax {jax.__version__}, CPU")
    for wanted in sys.argv[1:] or PICTURES:
        print(draw(wanted))
