"""The table of capture cases in the documentation is the one that the tests make, and has no empty cell."""

from __future__ import annotations

import pytest

from parity_tests.backends import require
from parity_tests.capture_table import ELSEWHERE, WORLDS, cells, covers, table
from parity_tests.markdown import ROOT

PAGE = ROOT / "docs" / "capture.md"


def test_every_cell_is_proven_or_explained() -> None:
    """Every case has a test, or a reason to have none, in every world; no reason stands where a test does."""
    require("torch")
    require("jax")
    found = cells()
    assert len(found) > 50
    assert [(case, world) for case, row in found.items() for world in WORLDS if world not in row] == []
    reasons = [(case, world) for case, worlds in ELSEWHERE.items() for world in worlds]
    assert [(case, world) for case, world in reasons if not found[case][world].startswith("–")] == []


@pytest.mark.skipif(not PAGE.exists(), reason="the pages are in a checkout, not in a wheel")
def test_the_page_shows_the_table() -> None:
    """``docs/capture.md`` holds what ``python -m parity_tests.capture_table`` prints."""
    require("torch")
    require("jax")
    shown = PAGE.read_text(encoding="utf-8").split("<!-- capture table -->\n")[1].split("\n<!-- end -->")[0]
    assert shown == table()


def test_a_world_that_does_not_exist_is_refused() -> None:
    """A misspelt world would leave a cell empty."""
    with pytest.raises(ValueError, match="covers: world must be one of"):
        covers("a case", "flax")
