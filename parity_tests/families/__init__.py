"""The catalogue as the suite sees it, one file per family of penalties."""

from __future__ import annotations

from functools import lru_cache

from parity_tests.configs import Config
from parity_tests.families import (
    elementwise,
    groups,
    logits,
    matrices,
    nonconvex,
    norms,
    ratios,
    sequences,
    spectra,
    statistics,
)
from parity_tests.families._entry import Entry, Laws
from parity_tests.targets import TARGETS, Target

FAMILIES: dict[str, tuple[Entry, ...]] = {
    "elementwise": elementwise.ENTRIES,
    "nonconvex": nonconvex.ENTRIES,
    "norms": norms.ENTRIES,
    "groups": groups.ENTRIES,
    "ratios": ratios.ENTRIES,
    "matrices": matrices.ENTRIES,
    "spectra": spectra.ENTRIES,
    "statistics": statistics.ENTRIES,
    "sequences": sequences.ENTRIES,
    "logits": logits.ENTRIES,
}

ENTRIES: tuple[Entry, ...] = tuple(entry for family in FAMILIES.values() for entry in family)
CONFIGS: tuple[Config, ...] = tuple(config for entry in ENTRIES for config in entry.configs)


@lru_cache(maxsize=1024)
def entry_of(config: Config) -> Entry:
    """The entry that a configuration belongs to."""
    return next(entry for entry in ENTRIES if config in entry.configs)


def is_typical(config: Config) -> bool:
    """Whether a configuration is the first of its entry; the others show its further options."""
    return config == entry_of(config).configs[0]


def family_of(penalty: str) -> str:
    """The family of a penalty, by its name."""
    return next(family for family, entries in FAMILIES.items() if penalty in {entry.name for entry in entries})


def fits(config: Config, target: Target) -> bool:
    """Whether a configuration is defined on a target."""
    return entry_of(config).fits(config, target)


@lru_cache(maxsize=1024)
def targets(config: Config) -> tuple[Target, ...]:
    """The targets that a configuration is defined on."""
    return tuple(target for target in TARGETS if fits(config, target))


__all__ = ["CONFIGS", "ENTRIES", "FAMILIES", "Entry", "Laws", "entry_of", "family_of", "fits", "is_typical", "targets"]
