"""The matrix: every penalty's value and gradient against its oracle, in every mode (the table is ``cases.py``)."""

from __future__ import annotations

import pytest

from parity_tests import options
from parity_tests.cases import COMPARISONS, Case, selected
from parity_tests.comparer import Comparer
from parity_tests.details import Keep
from parity_tests.harness import check
from parity_tests.ledger import MARKER


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each row of the table of the tier, in the types and the part of it that were asked for."""
    config = metafunc.config
    rows = selected(options.tier(config), options.dtypes(config), options.part(config))
    metafunc.parametrize(("case", "mode"), rows, ids=[f"{case}-{mode}" for case, mode in rows])


@getattr(pytest.mark, MARKER)(len(COMPARISONS))
def test_value_and_gradient_equal_the_oracle(case: Case, mode: str, comparer: Comparer, keep: Keep) -> None:
    """The value, in the dtype of accumulation, and the gradient, in the dtype of the input, lie within the bound."""
    check(case, mode, comparer, keep=keep)
