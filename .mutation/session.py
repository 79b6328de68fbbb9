"""One package's mutants: the frameworks are imported and the tests collected once; a fork judges each mutant.

Only tests that import neither package are collected here, no package is imported and no JAX backend started, so a
forked child is what a fresh process would be, only sooner.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from child import Clone, Verdict, judged
from mutants import Mutant, mutants, sampled
from report import read, reason

CONFIG = tomllib.loads((Path(__file__).resolve().parent / "config.toml").read_text(encoding="utf-8"))
ONLY = {"torchreg": "torch_only", "jaxreg": "jax_only"}
FRAMEWORKS = ("torch", "jax", "flax", "flax.linen", "flax.nnx", "optax")
FOREIGN = {"torchreg": re.compile(r"\b(jax|jaxreg|linen|nnx|flax)\b"), "jaxreg": re.compile(r"\b(torch|torchreg)\b")}


@dataclass(frozen=True)
class Rule:
    """Which tests the mutants of some sources meet, and what share of them is drawn."""

    sources: list[str]
    families: list[str] = field(default_factory=list)
    share: float = 1.0
    tests: list[str] = field(default_factory=list)
    cold: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    wide_cold: list[str] = field(default_factory=list)

    def warm(self, source: str, wide: bool) -> Iterator[tuple[str, str]]:
        """The tests to collect here, each the name of its file and the pattern of its ids."""
        for test in self.tests + self.wide * wide:
            name, _, pattern = test.replace("{stem}", Path(source).stem).partition("=")
            yield f"parity_tests/{name}", pattern


def rule_of(package: str, source: str) -> Rule:
    """The first rule that fits a source; a source without mutants needs none."""
    rules = (Rule(**given) for given in CONFIG["rule"])
    return next(rule for rule in rules if any(_fits(path, rule.sources) for path in (source, f"{package}/{source}")))


class Session:
    """A pytest plugin that judges the mutants of a package instead of running the tests that were collected."""

    def __init__(self, root: Path, package: str, only: list[str], share: float, wide: bool, results: Path) -> None:
        self._clone, self._package, self._wide = Clone(root, package), package, wide
        self._results = results / f"{package}.jsonl"
        self._known = read(self._results)
        found = [str(path.relative_to(root / package)) for path in sorted((root / package).rglob("*.py"))]
        left_out = CONFIG["once"] if package != "torchreg" else ()
        chosen = [source for source in found if _fits(source, only) and not _fits(source, left_out)]
        work = ((source, mutants(root / package, source, CONFIG["operators"])) for source in chosen)
        self._work = {
            source: sampled(every, share * rule_of(package, source).share, CONFIG["seed"])
            for source, every in work
            if every
        }

    def run(self) -> None:
        """Collect what the sources need, and judge."""
        for name in FRAMEWORKS:
            import_module(name)
        files = {name for source in self._work for name, _ in rule_of(self._package, source).warm(source, True)}
        present = sorted(name for name in files if (self._clone.root / name).exists())
        if pytest.main(["-q", "-s", "-p", "no:cacheprovider", *present], plugins=[self]):
            raise SystemExit(f"{self._package}: the run ended early.")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if {"torchreg", "jaxreg"} & set(sys.modules):
            raise pytest.UsageError("a collected test imports a package.")
        gc.freeze()
        due = {source: [one for one in drawn if self._is_due(one)] for source, drawn in self._work.items()}
        failing = [source for source, some in due.items() if some and not self._source(session, source, some)]
        if failing:
            raise pytest.UsageError(f"not judged, because their tests fail as they are: {', '.join(failing)}")
        session.config.stash[import_module("parity_tests.plugin").TALLY].declared.clear()  # none of them ran here
        return True

    def _source(self, session: pytest.Session, source: str, due: list[Mutant]) -> bool:
        """Judge the mutants of a source, unless its tests fail as it is: they would all seem killed."""
        rule = rule_of(self._package, source)
        cold = [name.replace("{only}", ONLY[self._package]) for name in rule.cold + rule.wide_cold * self._wide]
        items = self._items(session, rule, source)
        plain = judged(self._clone, session, None, items, cold, 600.0)
        print(f"{source}: {len(due)} mutants, {len(items)} tests, {plain.seconds:.1f} s", flush=True)
        if plain.status != "survived":
            print(f"  fails as it is: {plain.status} {plain.killer}", flush=True)
            return False
        killers: Counter[str] = Counter()
        for mutant in due:
            met = self._ordered(items, mutant, killers)
            verdict = judged(self._clone, session, mutant, met, cold, CONFIG["timeout"] + 3 * plain.seconds)
            killers[verdict.killer] += 1
            self._note(mutant, verdict)
        print(f"  {dict(Counter(self._known[mutant.name]['status'] for mutant in due))}", flush=True)
        return True

    def _items(self, session: pytest.Session, rule: Rule, source: str) -> list[pytest.Item]:
        """The collected tests that the mutants of a source meet, in the order of its rule."""
        kept: dict[str, pytest.Item] = {}
        families = rule.families or [Path(source).stem]
        own = {entry.name for family in families for entry in _families().get(family, ())}
        for name, pattern in rule.warm(source, self._wide):
            for item in session.items:
                file, _, test = item.nodeid.partition("::")
                foreign = FOREIGN[self._package].search(test) and not FOREIGN[_other(self._package)].search(test)
                if file == name and not foreign and re.search(pattern, test):
                    named = _penalties(test)
                    if not own or not named or named & own:
                        kept.setdefault(item.nodeid, item)
        return list(kept.values())

    def _ordered(self, items: list[pytest.Item], mutant: Mutant, killers: Counter[str]) -> list[pytest.Item]:
        """Without the tests of other penalties than the one mutated, and what has killed most first."""
        penalty = {mutant.scope.partition(".")[0]} & _penalties(mutant.scope)
        met = [item for item in items if not penalty or not (named := _penalties(item.nodeid)) or penalty & named]
        return sorted(met, key=lambda item: (not penalty & _penalties(item.nodeid), -killers[item.nodeid]))

    def _is_due(self, mutant: Mutant) -> bool:
        known = self._known.get(mutant.name)
        if known is None or not self._wide:
            return known is None and not self._wide
        return known["status"] != "killed" and not reason(self._package, known)

    def _note(self, mutant: Mutant, verdict: Verdict) -> None:
        row = {key: value for key, value in asdict(mutant).items() if key != "text"} | asdict(verdict)
        self._known[mutant.name] = row
        with self._results.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": mutant.name} | row, ensure_ascii=False) + "\n")


def _fits(source: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(source, pattern) for pattern in patterns)


def _other(package: str) -> str:
    return "jaxreg" if package == "torchreg" else "torchreg"


def _families() -> dict[str, Any]:
    return import_module("parity_tests.families").FAMILIES


@cache
def _penalties(text: str) -> frozenset[str]:
    """The penalties that a text names."""
    known = {entry.name for entries in _families().values() for entry in entries}
    return frozenset(known & set(re.findall(r"\w+", text)))
