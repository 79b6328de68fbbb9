"""Sparse activations on handwritten digits: the same penalised training run in PyTorch and in JAX.

A LeNet learns to read digits while an L1 penalty on its ReLU outputs asks it to use as few of them as it can. Both
backends start from the same weights and see the same batches. The script prints one table and draws one figure:

    pip install ".[all,examples]"
    python docs/examples/sparse_digits.py                    # 5,000 MNIST digits, under three minutes on two cores
    python docs/examples/sparse_digits.py --data digits      # scikit-learn's small digits, half a minute
    python docs/examples/sparse_digits.py --backend torch    # needs no JAX; --backend jax needs no PyTorch

The penalty itself is a few lines of ``_digits_torch.py`` and of ``_digits_jax.py``, beside this file.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import _digits_data as data
from _digits_figure import write_figure
from _digits_table import NAMES, choose, short, summarise, title, write_table
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist")
    parser.add_argument("--backend", choices=("torch", "jax", "both"), default="both")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0, 1e-4, 3e-4, 1e-3], metavar="LAMBDA")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2, help="how many splits, initial weights and batch orders")
    parser.add_argument("--out", type=Path, default=Path(), help="directory for the figure and the table")
    args = parser.parse_args(argv)
    args.strengths = sorted({float(strength) for strength in args.strengths})
    if args.epochs < 1 or args.seeds < 1 or args.strengths[0] < 0:
        parser.error("--epochs and --seeds must be at least 1, --strengths at least 0")
    return args


def trainers(backend: str) -> dict[str, Callable[..., data.Run]]:
    """The training function of each backend, imported only if it is asked for."""
    if backend != "both":
        return {backend: importlib.import_module(f"_digits_{backend}").train}
    # The two run side by side, so each takes its share of the cores; PyTorch reads this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
    return {name: importlib.import_module(f"_digits_{name}").train for name in ("torch", "jax")}


def sweep(args: argparse.Namespace, progress: Progress) -> list[data.Run]:
    """Train every strength with every seed in every backend, with a progress bar for each run."""
    runs: list[data.Run] = []
    train = trainers(args.backend)
    with ThreadPoolExecutor(len(train)) as pool:
        for seed in range(args.seeds):
            digits = data.load(args.data, seed)
            for strength in args.strengths:
                jobs = []
                for name in train:
                    label = f"seed {seed}  λ = {short(strength):5} {NAMES[name]:7}"
                    bar = progress.add_task(label, total=data.steps(digits, args.epochs), loss="...")
                    on_step = partial(advance, progress, bar)
                    jobs.append(pool.submit(train[name], digits, strength, args.epochs, seed, on_step))
                runs += [job.result() for job in jobs]
    return runs


def advance(progress: Progress, bar: TaskID, loss: float) -> None:
    progress.update(bar, advance=1, loss=f"{loss:.3f}")


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    label, loss = TextColumn("{task.description}"), TextColumn("loss {task.fields[loss]}")
    with Progress(label, BarColumn(), MofNCompleteColumn(), loss, TimeElapsedColumn()) as progress:
        runs = sweep(args, progress)
    rows = summarise(runs)
    chosen = choose(rows, args.seeds * data.SIZES[args.data].valid)
    write_table(rows, chosen, args, time.perf_counter() - began)
    write_figure(rows, chosen, title(args), args.out / "sparse_digits.png")
    print(f"\nTable and figure: {args.out / 'sparse_digits.txt'}, {args.out / 'sparse_digits.png'}")


if __name__ == "__main__":
    main()
