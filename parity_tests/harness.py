"""One cell of the table, run and compared: what the matrix does, and what the seeded bugs are given to."""

from __future__ import annotations

from parity_tests import devices
from parity_tests.backends import Build, value_and_grad
from parity_tests.bounds import bound, level, walk
from parity_tests.cases import COMPARISONS, Case, expected, problem
from parity_tests.comparer import Cell, Comparer, Mismatch
from parity_tests.details import Keep, Seen
from parity_tests.precision import accumulator


def check(
    case: Case, mode: str, comparer: Comparer, build: Build | None = None, keep: Keep = lambda seen: None
) -> None:
    """Compare value and gradient of a case in a mode with the oracle; ``build`` replaces the penalty under test.

    ``keep`` is shown what was compared, equal or not.
    """
    given, due = problem(case), expected(case)
    result = value_and_grad(mode, build or case.config.build, given)
    cell = Cell(str(case), case.config.name, mode, case.dtype, given.x.size)
    times = walk(mode, devices.current(), case.dtype, given.x.size)
    limits = {quantity: bound(case.config.name, quantity, case.dtype, due, times) for quantity in COMPARISONS}
    failed = ""
    try:
        for quantity in COMPARISONS:
            limit = limits[quantity]
            comparer.close(
                cell,
                quantity,
                level(quantity, case.dtype),
                getattr(result, quantity),
                getattr(due, quantity),
                limit.allowed,
                accumulator(case.dtype) if quantity == "value" else case.dtype,
                rounding=limit.rounding,
                empty=quantity == "gradient" and given.x.size == 0,
                may_overflow=case.input_class == "overflow",
            )
    except Mismatch as mismatch:
        failed = str(mismatch)
        raise
    finally:
        keep(Seen(case, mode, result, limits, comparer.worst, failed))
