"""The matrix: every penalty's value and gradient against its oracle, in every mode (the table is ``cases.py``)."""

from __future__ import annotations

import pytest

from parity_tests.cases import COMPARISONS, Case, table
from parity_tests.comparer import Comparer
from parity_tests.harness import check
from parity_tests.ledger import MARKER, tier


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each row of the table of the tier."""
    rows = list(table(tier(metafunc.config)))
    metafunc.parametrize(("case", "mode"), rows, ids=[f"{case}-{mode}" for case, mode in rows])


@getattr(pytest.mark, MARKER)(len(COMPARISONS))
def test_value_and_gradient_equal_the_oracle(case: Case, mode: str, comparer: Comparer) -> None:
    """The value, in the dtype of accumulation, and the gradient, in the dtype of the input, lie within the bound."""
    check(case, mode, comparer)
