"""The page of a run: its squares, the cell behind each, and how it stands in a browser."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from parity_tests.cases import Case, selected
from parity_tests.comparer import Comparer, Mismatch, Row
from parity_tests.details import ELEMENTS, Details, Seen, detail
from parity_tests.families import CONFIGS
from parity_tests.harness import check
from parity_tests.ledger import Tally
from parity_tests.report import TEMPLATE, Collected, data, squares, write
from parity_tests.targets import TARGETS

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync --hide-scrollbars --window-size=1600,1100"
in_chromium = pytest.mark.skipif(not CHROMIUM, reason="chromium not installed")


def seen_and_rows(case: Case, mode: str = "torch-eager") -> tuple[Seen, list[Row]]:
    """A cell that is run, as the report sees it."""
    rows: list[Row] = []
    kept: list[Seen] = []
    check(case, mode, Comparer(rows.append), keep=kept.append)
    return kept[0], rows


def a_case(input_class: str = "normal", target: str = "tall") -> Case:
    """A cell of the first penalty."""
    return Case(CONFIGS[0], next(each for each in TARGETS if each.name == target), "float32", input_class)


def a_page(path: Path) -> Path:
    """The page of a run of two cells."""
    tally, page, details = Tally(), Collected(), Details()
    tally.skipped["a"] = "no such </script><b>backend</b>"
    for name in ("normal", "ties"):
        seen, rows = seen_and_rows(a_case(name))
        tally.rows += rows
        if found := details.keep(seen):
            page.details[found["penalty"], found["mode"], found["dtype"]] = found
    write(path, tally, page, "cpu", 0)
    return path


def browser(page: Path, home: Path, *arguments: str) -> str:
    """What chromium writes when it opens the page."""
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={home}", *arguments, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_a_cell_is_shown_as_it_was_compared() -> None:
    """Input, result, oracle and bound of every element, and what runs the cell alone."""
    case = a_case("ties")
    seen, rows = seen_and_rows(case)
    found = detail(seen)
    assert found["ratio"] == max(row.ratio for row in rows)
    assert len(found["elements"]) == 30
    for _, x, counts, got, due, error, allowed in found["elements"]:
        assert due == pytest.approx(0.3 * np.sign(x), abs=1e-15)
        assert counts
        assert error == abs(got - due) <= allowed
    assert found["arguments"][1].endswith(f"[{case}-torch-eager]")


def test_what_cannot_be_compared_is_the_worst() -> None:
    """A result of the wrong form has no error, so its ratio is infinite; one over its bound keeps its own."""
    seen, _ = seen_and_rows(a_case())
    assert Seen(seen.case, seen.mode, seen.result, {}, 0.1, "wrong shape").ratio == math.inf
    assert Seen(seen.case, seen.mode, seen.result, {}, 2.0, "too far").ratio == 2.0
    kept: list[Seen] = []
    with pytest.raises(Mismatch):
        check(a_case(), "torch-eager", Comparer(lambda row: None), lambda m: lambda x, **_: x.abs().sum(), kept.append)
    assert kept[0].failed
    assert kept[0].ratio > 1


def test_only_what_is_worse_is_handed_on() -> None:
    """A process sends a cell of a square again only if it is worse than what it sent before."""
    seen, _ = seen_and_rows(a_case())
    details = Details()
    sent = [details.keep(Seen(seen.case, seen.mode, seen.result, seen.limits, r)) for r in (0.2, 0.1, 0.2, 0.3)]
    assert [each and each["ratio"] for each in sent] == [0.2, None, None, 0.3]


def test_a_page_does_not_grow_with_its_rows() -> None:
    """Of 60,000 comparisons it holds one square for each penalty, mode and type; of a long array the worst elements."""
    row = Row("cell", "L1", "torch-eager", "float32", 3, "value", "B", 0.0, 1.0, 0.5)
    tally = Tally(rows=[row] * 60_000)
    assert squares(tally.rows, {}) == {"L1 torch-eager float32": {"ratio": 0.5, "count": 60_000, "cell": "cell"}}
    assert len(str(data(tally, Collected(), "cpu", 0))) < 20_000
    assert len(detail(seen_and_rows(a_case(target="conv"))[0])["elements"]) == ELEMENTS


def test_the_page_asks_nothing_of_any_other_place(tmp_path: Path) -> None:
    """No address, no font, no script from elsewhere; what a reason says cannot end the script."""
    text = a_page(tmp_path / "deep" / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<script src|<link rel=\"stylesheet", text)
    assert text.count("</script>") == TEMPLATE.read_text(encoding="utf-8").count("</script>") == 1


@in_chromium
def test_the_page_stands_in_a_browser(tmp_path: Path) -> None:
    """Its squares, its list and the worst cell are there, text as text, and it can be drawn."""
    page = a_page(tmp_path / "page.html")
    dom = browser(page, tmp_path / "one", "--dump-dom")
    assert 'data-key="L1 torch-eager float32"' in dom
    assert "all equal" in dom
    assert "no such &lt;/script&gt;&lt;b&gt;backend&lt;/b&gt;" in dom
    assert len(re.findall(r"<tr", dom.split('id="elements"')[1].split("</table>")[0])) == 31
    assert re.search(r'<pre id="command">pytest --pyargs \'parity_tests\.test_penalties::', dom)
    picture = tmp_path / "page.png"
    browser(page, tmp_path / "two", f"--screenshot={picture}")
    assert picture.stat().st_size > 10_000


def test_every_cell_of_the_table_can_be_named() -> None:
    """The name in the command is the test's own, and no two cells have the same."""
    names = [f"{case}-{mode}" for case, mode in selected("full", ("float32",))]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "'" in name or " " in name]
