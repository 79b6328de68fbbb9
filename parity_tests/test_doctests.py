"""Every example in a docstring of either package runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from parity_tests.backends import PACKAGES, package


@pytest.mark.parametrize("framework", PACKAGES)
def test_docstring_examples_run(framework: str) -> None:
    """Each module is searched, its private ones too, and something was found."""
    root = package(framework)
    names = [root.__name__, *(found.name for found in pkgutil.walk_packages(root.__path__, f"{root.__name__}."))]
    attempted = 0
    for name in names:
        if ".integrations." in name:  # what they integrate need not be installed
            continue
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
        assert result.failed == 0, name
        attempted += result.attempted
    assert attempted > 0
