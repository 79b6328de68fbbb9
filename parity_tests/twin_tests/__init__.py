"""Tests of ``parity_tests.twin``: of its rules, of what it reports, and of pairs of models from other libraries."""
