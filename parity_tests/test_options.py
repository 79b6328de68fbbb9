"""The options of the suite: the parts of a run, where it runs, what it need not run again, and how far it is."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parity_tests import devices
from parity_tests.backends import MODES, Problem, require
from parity_tests.cases import selected, shared
from parity_tests.comparer import Row
from parity_tests.families import CONFIGS
from parity_tests.journal import PACKAGES, Journal, fingerprint
from parity_tests.options import FULL, Shard, shard
from parity_tests.precision import DTYPES
from parity_tests.progress import Lines, Rich, Tqdm
from parity_tests.test_ledger import importable, run
from parity_tests.torch_modes import torch_array

__all__ = ["importable"]  # the fixture that lets the processes started here find the suite

ALONE, TWO = pytest.param((), id="one process"), pytest.param(("-n", "2"), id="two workers", marks=FULL)
WORKERS = pytest.mark.parametrize("workers", [ALONE, TWO])
ROW = Row("cell", "L1", "torch-eager", "float64", 3, "value", "A", 0.0, 1.0, 0.0)


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "1/0", "a/b", "-1/2", "1/2/3"])
def test_a_shard_is_one_of_so_many(text: str) -> None:
    """Anything else is refused in one sentence."""
    with pytest.raises(ValueError, match=r"^--shard: it must be i/n with 1 <= i <= n; got '.*'\.$"):
        shard(text)


def test_shards_together_are_the_table_once() -> None:
    """Every cell is in one of four, with those that share its compiled code, and the four are about as large."""
    parts = [selected("pr", part=Shard(i, 4)) for i in range(1, 5)]
    whole = selected("pr")
    assert Counter(map(str, whole)) == Counter(str(row) for rows in parts for row in rows)
    keys = [{shared(*row) for row in rows} for rows in parts]
    assert sum(map(len, keys)) == len(set().union(*keys))
    assert all(0.8 < 4 * len(rows) / len(whole) < 1.2 for rows in parts)


def test_shards_are_the_same_on_every_machine() -> None:
    """The part that something is in follows from its name alone."""
    assert [next(i for i in range(1, 9) if Shard(i, 8).holds(key)) for key in ("", "a", "L1 tall jax-jit")] == [1, 4, 7]


@pytest.mark.parametrize("dtype", DTYPES)
def test_types_are_parts_of_the_table(dtype: str) -> None:
    """``--dtype`` leaves the cells of one type, and all of them."""
    assert selected("pr", (dtype,)) == [row for row in selected("pr") if row[0].dtype == dtype]


def test_the_full_tier_has_every_mode_of_every_configuration() -> None:
    """Nothing is left out of it, and what shares compiled code lies together."""
    rows = selected("full", ("float32",))
    assert {(case.config, mode) for case, mode in rows} == {(config, mode) for config in CONFIGS for mode in MODES}
    keys = [shared(*row) for row in rows]
    assert len(set(keys)) == 1 + sum(one != other for one, other in pairwise(keys))


@pytest.mark.parametrize("given", [("--shard", "9/8"), ("--tier", "half"), ("--dtype", "f8"), ("--device", "tpu")])
def test_what_no_option_takes_ends_the_run(pytester: pytest.Pytester, given: tuple[str, str]) -> None:
    """Before any test, with the exit code of a wrong call."""
    assert run(pytester, *given).ret == pytest.ExitCode.USAGE_ERROR


def test_a_selection_of_nothing_is_not_a_success(pytester: pytest.Pytester) -> None:
    """It has an exit code of its own, so a misspelt selection is not taken for one that passed."""
    assert run(pytester, "-k", "misspelt").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(("tier", "code"), [("pr", pytest.ExitCode.NO_TESTS_COLLECTED), ("full", pytest.ExitCode.OK)])
def test_what_is_marked_runs_in_the_full_tier_alone(
    pytester: pytest.Pytester, tier: str, code: pytest.ExitCode
) -> None:
    """The default tier does not select it, whatever else is asked for."""
    pytester.makepyfile(test_marked="import pytest\n\n@pytest.mark.full_tier\ndef test_marked():\n    pass\n")
    assert run(pytester, "--tier", tier, "-k", "test_marked").ret == code


@pytest.fixture(params=["torch", "jax"])
def without_cuda(request: pytest.FixtureRequest) -> str:
    """A framework that finds no cuda device; imported here, since pytester forgets what is imported under it."""
    require(request.param)
    if devices.missing(request.param, "cuda") is None:
        pytest.skip("a cuda device is present")
    return request.param


def test_a_device_that_is_absent_is_an_error(
    without_cuda: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not a skip, and what has not the device is named."""
    framework = without_cuda
    monkeypatch.setenv("TWINREG_REQUIRE", framework)
    result = run(pytester, "--device", "cuda")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--device: cuda must be present; {framework}* finds no cuda device."])


def test_arrays_are_made_on_the_device() -> None:
    """Strided ones too; afterwards the device is what it was."""
    require("torch")
    x = np.arange(6.0).reshape(2, 3)
    with devices.on("meta"):
        for strided in (False, True):
            assert torch_array(Problem(x, "float32", strided=strided)).device.type == "meta"
    assert torch_array(Problem(x, "float32")).device.type == "cpu" == devices.current()


def test_products_are_in_full_for_the_run_and_then_as_before() -> None:
    """No TF32 and no passes in bfloat16, whatever was set before, and what was set before is back."""
    require("torch")
    require("jax")
    import jax
    import torch

    before = devices.precision()
    torch.set_float32_matmul_precision("high")
    jax.config.update("jax_default_matmul_precision", "bfloat16")
    try:
        given = devices.precision()
        with devices.full_products():
            assert devices.precision() == {
                "torch float32 matmul precision": "highest",
                "torch cuDNN TF32": "off",
                "jax_default_matmul_precision": "highest",
            }
        assert devices.precision() == given != before
    finally:
        torch.set_float32_matmul_precision(before["torch float32 matmul precision"])
        jax.config.update("jax_default_matmul_precision", None)
    assert devices.precision() == before


@WORKERS
def test_what_has_passed_does_not_run_again(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """It counts as done, and is in the ledger; what did not run in full, was skipped or declares nothing runs again."""
    # Whoever edits a source between the two runs makes them different ones.
    pytester.makeconftest("import parity_tests.plugin\nparity_tests.plugin.fingerprint = lambda device: 'same'")
    first = run(pytester, "-k", "whole or short or absent", "--resume=deep/journal", *workers)
    assert first.ret == pytest.ExitCode.TESTS_FAILED
    second = run(pytester, "--resume=deep/journal", "--parity-ledger=cells.csv", *workers)
    second.assert_outcomes(passed=2, skipped=1, deselected=0 if workers else 1)
    second.stdout.fnmatch_lines(
        ["2 comparisons ran, 3 skipped, 5 declared", "2 comparisons more passed in earlier runs, by deep/journal"]
    )
    assert len((Path(pytester.path) / "cells.csv").read_text(encoding="utf-8").splitlines()) == 1 + 4
    assert second.ret == pytest.ExitCode.TESTS_FAILED
    if not workers:
        assert run(pytester, "-k", "whole", "--resume=deep/journal").ret == pytest.ExitCode.OK


def test_a_journal_is_of_its_sources_alone(tmp_path: Path) -> None:
    """Lines of other sources, torn lines and foreign lines are passed over; what is added later is not read."""
    path = tmp_path / "journal"
    path.write_bytes(b'{"of": "a", "id": "torn", "ro')
    journal = Journal(path, "a")
    journal.add("here/test_file.py::test[x]", [ROW])
    Journal(path, "b").add("test_file.py::test[y]", [ROW])
    path.write_bytes(path.read_bytes() + b'[]\n{"of": "a"}\n\xff\n')
    assert journal.done == {}
    assert Journal(path, "a").done == {"test_file.py::test[x]": [ROW]}
    assert Journal(path, "a", size=journal.size).done == {}


def test_every_source_counts(tmp_path: Path) -> None:
    """A change to a file of either package or of the suite, another name for one, and another device are other runs."""
    seen = set()
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        seen.add(fingerprint("cpu", tmp_path))
        (tmp_path / package / "one.py").write_text("1", encoding="utf-8")
        seen.add(fingerprint("cpu", tmp_path))
        (tmp_path / package / "one.py").write_text("2", encoding="utf-8")
        seen.add(fingerprint("cpu", tmp_path))
    assert len(seen | {fingerprint("cuda", tmp_path)}) == 1 + 2 * len(PACKAGES) + 1
    assert fingerprint("cpu") == fingerprint("cpu")


@WORKERS
def test_a_full_run_says_how_far_it_is(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Without a terminal it is a line now and then, and one at the end, in place of a dot for each test."""
    result = run(pytester, "-k", "whole or absent", "--tier", "full", *workers)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["parity: 2/2 tests, 100.0%, about 0 min left"])


@pytest.mark.parametrize(("kind", "needs"), [(Rich, "rich"), (Tqdm, "tqdm")])
def test_bars_draw(kind: type[Rich | Tqdm], needs: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A bar shows the tests that are done, of how many, and how many failed."""
    pytest.importorskip(needs)
    bar = kind()
    bar.show(1, 12, 0)
    bar.show(12, 12, 3)
    bar.close()
    drawn = "".join(capfd.readouterr())
    assert "12/12" in drawn
    assert "3 failed" in drawn


def test_lines_are_rare() -> None:
    """Nothing is written between the lines that are due."""
    written: list[str] = []
    lines = Lines(SimpleNamespace(width_of_current_line=0, line=written.append), every=3600)
    for done in range(1, 101):
        lines.show(done, 100, 2)
    assert written == ["parity, 2 failed: 100/100 tests, 100.0%, about 0 min left"]
