"""The sparse digits example: both halves start as the same function, see the same batches and take the same step."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from parity_tests.backends import require

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
ONE_STEP = 1e-6  # relative, float32

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are in the checkout, not in the wheel")


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """What the halves share; every test imports the example anew."""
    for name in ("sklearn", "matplotlib", "rich"):
        pytest.importorskip(name, reason=f"{name} not installed: pip install 'twinreg[examples]'")
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.syspath_prepend(EXAMPLES)
    yield import_module("_digits_data")
    for name in [name for name in sys.modules if name.startswith(("_digits_", "sparse_digits"))]:
        del sys.modules[name]


@pytest.fixture
def halves(data: ModuleType) -> tuple[Any, Any]:
    """The example's PyTorch half and its JAX half."""
    require("torch")
    require("jax")
    return import_module("_digits_torch"), import_module("_digits_jax")


def digits_of(data: ModuleType, name: str, count: int) -> Any:
    """``count`` digits of random pixels in the size of a data set, all of them for training."""
    sizes = data.SIZES[name]
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(count, sizes.side, sizes.side)).astype(np.float32)
    split = data.Split(images, rng.integers(10, size=count, dtype=np.int32))
    return data.Digits(split, split, split, sizes.kernel, sizes.pad)


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_both_networks_start_as_the_same_function(data: ModuleType, halves: tuple[Any, Any], name: str) -> None:
    """The weights of one seed give the same logits in both layouts."""
    ours, theirs = halves
    digits = digits_of(data, name, 4)
    first = ours.start(digits, 3)(ours.batch(digits.train.images)).detach().numpy()
    model, params = theirs.start(digits, 3)
    second = np.asarray(model.apply({"params": params}, digits.train.images[..., None]))
    np.testing.assert_allclose(second, first, rtol=0, atol=1e-5 * np.abs(first).max())
    assert first.std() > 0.01


def test_batches_depend_on_the_seed_alone(data: ModuleType) -> None:
    """Two calls give the same batches, and an epoch shows every digit once."""
    digits = digits_of(data, "digits", 2 * data.BATCH)
    first, second = (list(data.batches(digits, 2, 5)) for _ in range(2))
    other = next(data.batches(digits, 2, 6))
    assert len(first) == data.steps(digits, 2) == 4
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)
    assert not np.array_equal(first[0].images, other.images)
    shown = np.concatenate([split.images for split in first[:2]])
    np.testing.assert_array_equal(np.sort(shown.sum(axis=(1, 2))), np.sort(digits.train.images.sum(axis=(1, 2))))


def test_both_backends_take_the_same_step(data: ModuleType, halves: tuple[Any, Any]) -> None:
    """The losses agree before and after the first update, with and without a penalty, from one trace in JAX."""
    ours, theirs = halves
    digits = digits_of(data, "digits", 2 * data.BATCH)
    traces, reg = [], theirs.REG

    class Counted:
        def at(self, **values: Any) -> Any:
            traces.append(values)
            return reg.at(**values)

    theirs.REG = Counted()
    unpenalised = None
    for strength in (0.0, 1e-3):
        first, second = (half.train(digits, strength, 1, 0, lambda _: None) for half in (ours, theirs))
        assert len(first.losses) == 2
        np.testing.assert_allclose(second.losses, first.losses, rtol=ONE_STEP)
        assert second.zeros == pytest.approx(first.zeros, abs=0.1)
        unpenalised = unpenalised or first.losses[0]
    assert first.losses[0] > unpenalised * 1.05
    assert len(traces) == 1


def test_zeros_and_dead_units_are_counted(data: ModuleType) -> None:
    """A channel is dead if it is zero at every position of every image."""
    outputs = {
        "relu1": np.array([[[[0.0, 1.0], [0.0, 0.0]]]]),  # one image, two positions, two channels
        "relu2": np.ones((1, 1, 1, 2)),
        "relu3": np.array([[0.0, 0.0], [2.0, 0.0]]),
    }
    zeros, dead = data.count_zeros(outputs)
    assert zeros == {"relu1": 75.0, "relu2": 0.0, "relu3": 75.0, "all": 60.0}
    assert dead == 2


def test_the_strongest_penalty_that_loses_nothing_is_chosen(data: ModuleType) -> None:
    """Within one standard error of the best: 98 % of 400 digits have one of 0.7."""
    table = import_module("_digits_table")
    valid = {0.0: 97.0, 1e-4: 98.0, 3e-4: 97.4, 1e-3: 97.2}
    runs = [data.Run("torch", strength, [1.0, 1.0], percent, 97.0, {}, 0) for strength, percent in valid.items()]
    assert table.choose(table.summarise(runs), 400) == 3e-4


@pytest.mark.parametrize(("backend", "other"), [("torch", "jax"), ("jax", "torch")])
def test_one_backend_needs_nothing_of_the_other(data: ModuleType, tmp_path: Path, backend: str, other: str) -> None:
    """A run on one backend imports neither the other framework nor its package."""
    require(backend)
    others = {"torch": ("torch", "torchreg"), "jax": ("jax", "flax", "optax", "jaxreg")}[other]
    flags = ["--data", "digits", "--epochs", "1", "--strengths", "3e-4", "--seeds", "1", "--out", str(tmp_path)]
    run = f"import sparse_digits; sparse_digits.main({['--backend', backend, *flags]!r})"
    script = f"import sys; {run}; found = {{*{others!r}}} & {{*sys.modules}}; assert not found, found"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"sparse_digits.png", "sparse_digits.txt"}


def test_a_run_prints_its_table_and_draws_its_figure(
    halves: tuple[Any, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command on the small digits: both backends at both strengths, the choice marked, versions below."""
    flags = ["--data", "digits", "--epochs", "1", "--strengths", "0", "3e-4", "--seeds", "2"]
    import_module("sparse_digits").main([*flags, "--out", str(tmp_path)])
    text = (tmp_path / "sparse_digits.txt").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if "PyTorch " in line or "JAX " in line]
    assert [line.split()[0] for line in rows[:4]] == ["0", "0", "3e-4", "3e-4"]
    assert sum("*" in line for line in rows[:4]) == 2
    assert "flax" in text
    assert "…" not in text
    assert rows[0] in capsys.readouterr().out
    assert (tmp_path / "sparse_digits.png").read_bytes().startswith(b"\x89PNG")
