"""What only Flax has: lifted transforms, collections, graphs and their traces, and what each does to a capture."""

import pytest

from parity_tests.backends import absent

if _reason := absent("jax"):
    pytest.skip(_reason, allow_module_level=True)
