"""``python -m parity_tests cases``: the cases as data are the suite's own, the same each time, and held by a digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity_tests.__main__ import main
from parity_tests.cases import expected, problem
from parity_tests.cases_command import content, digest, rows

# Who changes cases, oracles or bounds on purpose puts here what `python -m parity_tests cases DIRECTORY` prints.
DIGEST = "af5921b0b8c01a4a"


@pytest.fixture(scope="module")
def written() -> tuple[dict[str, Any], dict[str, Any]]:
    """The content, made once."""
    return content()


def test_the_content_is_what_was_committed(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A case, an oracle or a bound that changed must be seen to have changed."""
    assert digest(*written) == DIGEST


def test_files_hold_the_content(written: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path) -> None:
    """What is read back is what was made, the same bytes each time, in a directory that was not there."""
    index, arrays = written
    for name in ("one", "two"):
        assert main(["cases", str(tmp_path / "deep" / name)]) == 0
    for file in ("cases.json", "arrays.npz"):
        assert (tmp_path / "deep/one" / file).read_bytes() == (tmp_path / "deep/two" / file).read_bytes()
    assert json.loads((tmp_path / "deep/one/cases.json").read_text(encoding="utf-8")) == index
    with np.load(tmp_path / "deep/one/arrays.npz") as stored:
        assert set(stored) == set(arrays)
        for name, array in arrays.items():
            assert stored[name].dtype == array.dtype
            np.testing.assert_array_equal(stored[name], array)


def test_every_case_is_there_with_its_oracle(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Input, mask, value and gradient are those that the suite compares with."""
    index, arrays = written
    for case, stored in zip(rows(), index["cases"], strict=True):
        assert stored["name"] == str(case)
        given, due = problem(case), expected(case)
        np.testing.assert_array_equal(arrays[stored["x"]], given.x)
        if given.where is None:
            assert stored["where"] is None
        else:
            np.testing.assert_array_equal(arrays[stored["where"]], given.where)
        np.testing.assert_array_equal(float(stored["value"]), due.value)
        start, stop = stored["gradient"]
        np.testing.assert_array_equal(arrays["gradient"][start:stop].reshape(stored["shape"]), due.gradient)


def test_the_digest_sees_a_mistake_and_no_rounding(written: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """One element of one gradient that is off by a hundred-thousandth is another content; by rounding it is not."""
    index, arrays = written
    at = index["cases"][0]["gradient"][0]
    for factor, same in ((1 + 2e-16, True), (1 + 1e-5, False)):
        changed = arrays | {"gradient": arrays["gradient"].copy()}
        changed["gradient"][at] *= factor
        assert (digest(index, changed) == digest(*written)) is same
    index = json.loads(json.dumps(index))
    index["cases"][3]["axes"].reverse()
    assert digest(index, arrays) != digest(*written)


def test_what_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in the place of the directory ends the command with 2."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["cases", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("cases: ")
