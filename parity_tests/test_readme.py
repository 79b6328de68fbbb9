"""What README and the documentation show is run as written."""

from __future__ import annotations

import pytest

from parity_tests.backends import require
from parity_tests.markdown import Page, frameworks, pages

SECTIONS = [(page, title) for page in pages() for title, _ in page.sections()]


@pytest.mark.skipif(not SECTIONS, reason="the pages are in a checkout, not in a wheel")
@pytest.mark.parametrize(("page", "title"), SECTIONS, ids=[f"{page.path.stem}: {title}" for page, title in SECTIONS])
def test_code_runs_as_written(page: Page, title: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks under one heading run in order, in one namespace that holds nothing else."""
    blocks = dict(page.sections())[title]
    for framework in frameworks("\n".join(blocks)):
        require(framework)
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        # Without this file's own __future__ imports, which a reader's file has not.
        exec(compile(block, f"{page.path.name}: {title}", "exec", dont_inherit=True), namespace)


@pytest.mark.skipif(not SECTIONS, reason="the pages are in a checkout, not in a wheel")
def test_pages_show_both_frameworks() -> None:
    """The search for code finds some, of both frameworks: an empty search would prove nothing."""
    code = "\n".join(block for page in pages() for _, blocks in page.sections() for block in blocks)
    assert len(SECTIONS) >= 2
    assert frameworks(code) == ["torch", "jax"]
