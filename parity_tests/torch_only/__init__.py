"""What only PyTorch has: hooks, autograd's modes, its compiler, its process groups, and what each does to a capture."""

import pytest

from parity_tests.backends import absent

if _reason := absent("torch"):
    pytest.skip(_reason, allow_module_level=True)
