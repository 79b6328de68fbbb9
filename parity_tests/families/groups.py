"""Sums over groups."""

from __future__ import annotations

from dataclasses import replace

from parity_tests.configs import Config, config
from parity_tests.families._entry import Entry, grouped
from parity_tests.families.norms import NORM

INDICES = ("out", "in", "kernel", ("out", "in"), "sample", "feature", ("sample", "position"))


def by_every_index(name: str, **arguments: object) -> tuple[Config, ...]:
    """A configuration for every axis that can index the groups, and for pairs of them."""
    return tuple(config(name, **arguments, groups=groups) for groups in INDICES)


ENTRIES = (
    Entry(
        (
            config("GroupLasso", strength=0.4),
            config("GroupLasso", strength=0.4, groups="in"),
            config("GroupLasso", strength=0.4, groups="kernel"),
            config("GroupLasso", strength=0.4, groups=("out", "in")),
            config("GroupLasso", strength=0.4, groups="out", size_weighted=False),
            config("GroupLasso", strength=0.4, groups="sample"),
            config("GroupLasso", strength=0.4, groups="position"),
            config("GroupLasso", strength=0.4, groups="feature"),
            config("GroupLasso", strength=0.4, groups=("sample", "position")),
            config("GroupLasso", strength=0.4, groups="feature", size_weighted=False),
        ),
        grouped,
        NORM,
    ),
    Entry(
        (
            config("SparseGroupLasso", strength=0.4),
            config("SparseGroupLasso", strength=0.4, groups="in", alpha=0.3),
            config("SparseGroupLasso", strength=0.4, groups="kernel", alpha=0.95, size_weighted=False),
            config("SparseGroupLasso", strength=0.4, alpha=0.0),
            config("SparseGroupLasso", strength=0.4, alpha=1.0),
            config("SparseGroupLasso", strength=0.4, groups="sample", alpha=0.2),
            config("SparseGroupLasso", strength=0.4, groups="feature"),
            config("SparseGroupLasso", strength=0.4, groups=("sample", "position"), size_weighted=False),
        ),
        grouped,
        NORM,
    ),
    # As a sum of squares of norms it is no norm itself, but the square of one.
    Entry(by_every_index("ExclusiveLasso", strength=0.4), grouped, replace(NORM, degree=2, norm=False)),
    Entry(by_every_index("GroupLinf", strength=0.4), grouped, NORM),
)
