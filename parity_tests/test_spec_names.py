"""Names, globs and selection: the part that both packages share word for word."""

from __future__ import annotations

import random
import re
import time
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import pytest

from parity_tests.backends import PACKAGES, absent, package


@pytest.fixture(params=list(PACKAGES))
def spec(request: pytest.FixtureRequest) -> dict[str, ModuleType]:
    """The shared modules of one package."""
    found = package(request.param)
    parts = ("names", "select", "targets", "layout", "vocabulary")
    return {name: import_module(f"{found.__name__}._spec.{name}") for name in parts}


GLOBS = [
    ("**", "a", True),
    ("**", "a.b.c", True),
    ("**", "", False),
    ("*", "", False),
    ("", "", True),
    ("", "a", False),
    ("*", "a", True),
    ("*", "a.b", False),
    ("a.*", "a.b", True),
    ("a.*", "a.b.c", False),
    ("a.**", "a", False),
    ("a.**", "a.b", True),
    ("a.**", "a.b.c", True),
    ("**.weight", "weight", True),
    ("**.weight", "a.b.weight", True),
    ("**.weight", "a.weight.b", False),
    ("a.**.b", "a.b", True),
    ("a.**.b", "a.x.y.b", True),
    ("a.**.b", "a.x.y.c", False),
    ("a.**.b.**", "a.b.b.c", True),
    ("a.**.b.**", "a.x.b", False),
    ("blocks.*.act", "blocks.0.act", True),
    ("conv?", "conv1", True),
    ("conv?", "conv10", False),
    ("conv?", "conv.", False),
    ("conv[12].*", "conv2.weight", True),
    ("conv[!12].*", "conv2.weight", False),
    ("a.b", "a.b", True),
    ("a.b", "a.bc", False),
]


@pytest.mark.parametrize(("glob", "name", "expected"), GLOBS)
def test_glob(spec: dict[str, ModuleType], glob: str, name: str, expected: bool) -> None:
    """``*`` stays within a segment, ``**`` crosses segments, and the root is matched by ``""`` alone."""
    assert spec["names"].matcher(glob)(name) is expected


@pytest.mark.parametrize("glob", ["a..b", ".a", "a.", "a**", "**a.b", "a.b**.c"])
def test_unsound_globs_are_refused(spec: dict[str, ModuleType], glob: str) -> None:
    """A glob with an empty segment, or with ``**`` as part of one, is a ValueError and not a guess."""
    with pytest.raises(ValueError, match=r"^params: pattern must be a (dotted path|glob)"):
        spec["targets"].params(glob)


def _reference(glob: str, name: str) -> bool:
    """Globs again, by recursion over segments as the documentation words it."""

    def segments(test: list[str], given: list[str]) -> bool:
        if not test:
            return not given
        if test[0] == "**":
            least = 1 if len(test) == 1 else 0
            return any(segments(test[1:], given[i:]) for i in range(least, len(given) + 1))
        return bool(given) and _segment(test[0], given[0]) and segments(test[1:], given[1:])

    return name == "" if glob == "" else bool(name) and segments(glob.split("."), name.split("."))


def _segment(test: str, given: str) -> bool:
    if not test:
        return not given
    if test[0] == "*":
        return any(_segment(test[1:], given[i:]) for i in range(len(given) + 1))
    return bool(given) and test[0] in ("?", given[0]) and _segment(test[1:], given[1:])


def _tree(draw: random.Random) -> list[str]:
    words = ["a", "b", "conv1", "conv2", "layers_0", "weight", "bias", "0", "1"]
    return sorted({".".join(draw.choices(words, k=draw.randint(1, 5))) for _ in range(draw.randint(1, 12))})


def _glob(draw: random.Random) -> str:
    words = ["a", "b", "conv?", "conv*", "layers_*", "*", "**", "**", "weight", "*i*", "?"]
    return ".".join(draw.choices(words, k=draw.randint(1, 5)))


def test_random_trees_select_alike() -> None:
    """On 5,000 random trees and patterns every package selects what the plain reading of the language selects."""
    specs = [import_module(f"{PACKAGES[name]}._spec.select") for name in PACKAGES if absent(name) is None]
    targets = [import_module(f"{PACKAGES[name]}._spec.targets") for name in PACKAGES if absent(name) is None]
    draw, worst = random.Random(0), 0.0
    for _ in range(5000):
        names, glob = _tree(draw), _glob(draw)
        expected = [name for name in names if _reference(glob, name)]
        for select, target in zip(specs, targets, strict=True):
            began = time.process_time()
            assert _selected(select, target, names, glob) == expected
            worst = max(worst, time.process_time() - began)
    assert worst < 0.5  # of processor time; ten times the promise of 50 ms, as a collection of garbage may fall into it


def _selected(select: Any, targets: Any, names: list[str], glob: str) -> list[str]:
    candidates = [select.Candidate((name,), (None,)) for name in names]
    try:
        return [name for _, name in select.select_params(targets.params(glob), candidates).chosen]
    except LookupError:
        return []


def test_no_pattern_is_slow(spec: dict[str, ModuleType]) -> None:
    """Stars that would make a backtracking matcher take for ever are answered at once."""
    name = ".".join(["a" * 200] * 200)
    began = time.process_time()
    assert not spec["names"].matcher("**.a*a*a*a*a*b.**.c*c*c.**.**.d")(name)
    assert time.process_time() - began < 0.5


def test_what_matches_nothing_is_answered_with_the_nearest_names(spec: dict[str, ModuleType]) -> None:
    """A typo in a pattern, in one member of a tuple, or in ``exclude`` is a LookupError."""
    select, params = spec["select"], spec["targets"].params
    candidates = [select.Candidate((name,), ("kernel",)) for name in ("conv1.weight", "conv2.weight", "fc.weight")]
    for target in (params("conv1.wieght"), params(("fc.*", "conv1.wieght")), params(exclude="conv1.wieght")):
        with pytest.raises(LookupError, match=r"got 'conv1\.wieght'\. Nearest names: 'conv1\.weight'"):
            select.select_params(target, candidates)


def test_three_names_are_the_nearest(spec: dict[str, ModuleType]) -> None:
    """Also where none is near."""
    names = [f"layer{i}" for i in range(9)]
    assert len(spec["names"].nearest("layer", names)) == 3
    assert spec["names"].nearest("?", names) == ("layer0", "layer1", "layer2")


def test_who_is_left_out_by_a_type(spec: dict[str, ModuleType]) -> None:
    """A type alone asks for its own modules; beside a pattern it leaves out some that the pattern matches."""
    select, activations = spec["select"], spec["targets"].activations
    candidates = [
        select.Candidate(("a",), (), int),
        select.Candidate(("b",), (), str),
        select.Candidate(("c",), (), bool),
    ]
    alone = select.select_modules(activations(type="int"), candidates)
    assert (alone.chosen, alone.left_out) == (((0, "a"), (2, "c")), ())
    beside = select.select_modules(activations("*", type=int, exclude="c"), candidates)
    assert (beside.chosen, beside.left_out) == (((0, "a"),), (("b", "type is str"), ("c", "excluded")))


def test_what_a_table_says_fits_or_nobody_knows(spec: dict[str, ModuleType]) -> None:
    """``...`` stands for any number of axes, none among them; of what nobody knows the first axis is the sample."""
    layout = spec["layout"]
    known = ("sample", "...", "feature")
    assert [layout.fitting(known, rank) for rank in (1, 2, 5)] == [None, known, known]
    assert [layout.fitting(("out", "in"), rank) for rank in (1, 2, 3)] == [None, ("out", "in"), None]
    axes = [layout.unknown_axes(layout.activation_axes(rank)) for rank in range(5)]
    assert axes == [(), ("sample",), ("sample", "feature"), ("sample", "?", "?"), ("sample", "?", "?", "?")]


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Literal["a", "b"], "a", True),
        (Literal["a", "b"], "c", False),
        (Literal[1, 2], True, False),
        (Literal[1, 2], 2.0, False),
        (int | None, None, True),
        (int | None, True, False),
        (tuple[int, ...], [1, 2], True),
        (tuple[int, ...], [1, "2"], False),
        (tuple[int, str], [1], False),
    ],
)
def test_whether_plain_data_is_of_a_kind(spec: dict[str, ModuleType], hint: Any, value: Any, expected: bool) -> None:
    """A flag is no number, and a number that is equal is not the same word."""
    assert spec["vocabulary"].fits(hint, value) is expected


def test_a_role_that_leaves_nothing_is_an_error(spec: dict[str, ModuleType]) -> None:
    """The error says what was left out and why."""
    select = spec["select"]
    with pytest.raises(LookupError) as error:
        select.select_params(spec["targets"].params(role="bias"), [select.Candidate(("w",), ("kernel",))])
    assert str(error.value) == (
        "params: role must be one that leaves something selected; got ('bias',). Left out: 'w': role is kernel."
    )


def test_a_tied_parameter_counts_once(spec: dict[str, ModuleType]) -> None:
    """Under the first alias that matches, with that alias's role; excluded under any alias, it is out."""
    select, params = spec["select"], spec["targets"].params
    tied = [
        select.Candidate(("embed.weight", "head.weight"), ("embedding", "kernel")),
        select.Candidate(("b",), ("bias",)),
    ]
    assert select.select_params(params(), tied).chosen == ((0, "embed.weight"), (1, "b"))
    assert select.select_params(params(role="kernel"), tied).chosen == ((0, "head.weight"),)
    assert select.select_params(params("head.*"), tied).left_out == (("embed.weight", "tied to head.weight"),)
    assert select.select_params(params(exclude="head.*"), tied).chosen == ((1, "b"),)


def test_regular_expressions_match_in_full(spec: dict[str, ModuleType]) -> None:
    """A compiled pattern is not searched for: it must match the whole path."""
    match = spec["names"].matcher(re.compile(r"conv\d"))
    assert match("conv1")
    assert not match("conv1.weight")


def test_products_of_axes(spec: dict[str, ModuleType]) -> None:
    """A product takes an axis apart; a size that does not divide it, or two open sizes, are errors."""
    layout = spec["layout"]
    move = layout.move("params", ("piece:3*out", "in"), (6, 5))
    assert (move.axes, move.shape, move.pieces) == (("out", "in"), (3, 2, 5), (0,))
    with pytest.raises(ValueError, match=r"one whose 'piece:4\*out' divides the axis of size 6"):
        layout.move("params", ("piece:4*out", "in"), (6, 5))
    with pytest.raises(ValueError, match="layout must be a tuple of"):
        spec["targets"].params(layout=("piece*out", "in"))
