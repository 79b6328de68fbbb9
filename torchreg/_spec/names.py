"""Dotted names and the globs that select them.

``*``, ``?`` and ``[...]`` match within one segment; a whole segment ``**`` matches any number of segments
(at the end of a pattern: one or more). ``""`` is the root, which no wildcard includes. Matching never backtracks
further than the last ``**``, and inside a segment not at all, so no pattern can be slow.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any

from .errors import sentence

Pattern = str | re.Pattern[str]
Matcher = Callable[[str], bool]

_MAGIC = re.compile(r"[*?\[]")
_NEAREST_POOL = 2000


def check_patterns(where: str, argument: str, value: Any) -> tuple[Pattern, ...]:
    """A pattern or a sequence of patterns, as a tuple; every glob is parsed once here, so that it cannot fail later."""
    expected = "a glob, a compiled re.Pattern, or a tuple of them"
    members = (value,) if isinstance(value, str | re.Pattern) else value
    if not isinstance(members, tuple | list):
        raise TypeError(sentence(where, argument, expected, value))
    for member in members:
        if not isinstance(member, str | re.Pattern) or (
            isinstance(member, re.Pattern) and not isinstance(member.pattern, str)
        ):
            raise TypeError(sentence(where, argument, expected, member))
        if isinstance(member, str):
            _check_glob(where, argument, member)
    return tuple(members)


def _check_glob(where: str, argument: str, glob: str) -> None:
    for segment in glob.split(".") if glob else ():
        if not segment:
            raise ValueError(sentence(where, argument, "a dotted path without empty segments", glob))
        if "**" in segment and segment != "**":
            hint = "Write '**' as a segment of its own, as in 'encoder.**' or '**.bias'."
            raise ValueError(sentence(where, argument, "a glob whose '**' is a whole segment", glob, hint))


def is_literal(pattern: Pattern) -> bool:
    """Whether a pattern is a plain name, which a dictionary finds."""
    return isinstance(pattern, str) and not _MAGIC.search(pattern)


@lru_cache(maxsize=65536)
def matcher(pattern: Pattern) -> Matcher:
    """The predicate of one checked pattern."""
    if isinstance(pattern, re.Pattern):
        return lambda name: pattern.fullmatch(name) is not None
    if is_literal(pattern):
        return pattern.__eq__
    segments = pattern.split(".")
    tests: list[Matcher | None] = [None if segment == "**" else _segment(segment) for segment in segments]
    if tests[-1] is None:
        tests.insert(-1, bool)  # at the end '**' takes at least one segment: what is below 'encoder', not 'encoder'
    return lambda name: bool(name) and _match(tests, name.split("."))


def _segment(glob: str) -> Matcher:
    if is_literal(glob):
        return glob.__eq__
    compiled = re.compile(translate(glob))
    return lambda segment: compiled.match(segment) is not None


def _match(tests: Sequence[Matcher | None], segments: Sequence[str]) -> bool:
    """Whether the segments match the tests, where None stands for any number of segments."""
    test, segment, star, restart = 0, 0, -1, 0
    while segment < len(segments):
        ended = test == len(tests)
        wanted = None if ended else tests[test]
        if not ended and wanted is None:
            star, restart = test, segment
            test += 1
        elif wanted is not None and wanted(segments[segment]):
            test, segment = test + 1, segment + 1
        elif star >= 0:
            restart += 1
            test, segment = star + 1, restart
        else:
            return False
    return all(wanted is None for wanted in tests[test:])


def nearest(pattern: Pattern, names: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The names most like a pattern that matched nothing."""
    text = pattern if isinstance(pattern, str) else pattern.pattern
    pool = list(dict.fromkeys(name for name in names if name))[:_NEAREST_POOL]
    close = difflib.get_close_matches(text.replace("*", ""), pool, n=count, cutoff=0.4)
    return tuple(close or pool[:count])


def nothing_matched(where: str, argument: str, pattern: Pattern, kind: str, names: Iterable[str]) -> LookupError:
    """The error for a pattern that matches nothing: it lists the nearest names."""
    shown = ", ".join(repr(name) for name in nearest(pattern, names))
    hint = f"Nearest names: {shown}." if shown else f"The model has no {kind} at all."
    text = pattern if isinstance(pattern, str) else pattern.pattern
    return LookupError(sentence(where, argument, f"a pattern that matches the name of a {kind}", text, hint))
