"""Lets ``pytest --pyargs parity_tests`` know the suite's options, when the installed distribution names this module.

Options must be known before the arguments are parsed, which is before pytest finds the suite's ``conftest.py`` in an
installed package. A run that does not ask for this suite is left alone: nothing is imported and no option is added.
"""

from __future__ import annotations

import pytest


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Load the suite's plugin where the arguments name the suite as a package."""
    names = {argument.split("::")[0].split(".")[0] for argument in args}
    if "--pyargs" in args and "parity_tests" in names:
        early_config.pluginmanager.import_plugin("parity_tests.plugin")
