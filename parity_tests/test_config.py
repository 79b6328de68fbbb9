"""Regularizers as plain data and as files: what is written down is read back equal, by either package."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from parity_tests.backends import PACKAGES, package
from parity_tests.config_cases import WRITTEN, everything, simple, written

EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)


def plain(value: Any) -> bool:
    """Whether a value and all in it are of JSON's types, exactly."""
    if type(value) is dict:
        return all(type(key) is str and plain(member) for key, member in value.items())
    if type(value) is list:
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str)


@EVERY_FRAMEWORK
def test_what_is_written_is_read_back_equal(framework: str) -> None:
    """Every target, every penalty that is exported and every schedule, through plain data of JSON's types."""
    reg = everything(framework)
    data = reg.to_dict()
    assert plain(data)
    again = package(framework).Regularizer.from_dict(json.loads(json.dumps(data)))
    assert again == reg
    assert hash(again) == hash(reg)
    assert again.to_dict() == data


@EVERY_FRAMEWORK
def test_no_exported_penalty_is_missing_from_the_cases(framework: str) -> None:
    """The round trip is of all of them: a new penalty without a case would go untested."""
    m = package(framework)
    seen = {type(part) for term in everything(framework).terms for _, part in term.penalty.parts()}
    exported = {thing for thing in vars(m).values() if isinstance(thing, type) and issubclass(thing, m.Penalty)}
    assert {cls.__name__ for cls in exported & set(map(vars(m).get, m.__all__)) - seen - {m.Penalty}} == set()


@EVERY_FRAMEWORK
@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_a_file_is_read_back_equal(framework: str, suffix: str, tmp_path: Path) -> None:
    """JSON and YAML, whatever the strings in it look like; the path may be a string."""
    m = package(framework)
    path = tmp_path / f"reg{suffix}"
    everything(framework).save(path)
    assert m.Regularizer.load(str(path)) == everything(framework)
    odd = ["1e-4", "no", "null", "~", "", "0x1f", "- a", "a: b", "#", "é\n\t", "2001-01-01", "*.a", "\0", "1_0", ".inf"]
    reg = m.Regularizer(*(m.L1(1e-7).on(m.params(re.compile(re.escape(s))), name=s or None) for s in odd))
    reg.save(path)
    assert m.Regularizer.load(path) == reg


def test_both_packages_write_the_same(tmp_path: Path) -> None:
    """One file serves both: the same data, the same bytes, and each reads the other's."""
    for suffix in (".json", ".yaml"):
        contents = set()
        for framework in PACKAGES:
            path = tmp_path / f"{framework}{suffix}"
            everything(framework).save(path)
            contents.add(path.read_bytes())
        assert len(contents) == 1
        for framework in PACKAGES:
            for other in PACKAGES:
                read = package(framework).Regularizer.load(tmp_path / f"{other}{suffix}")
                assert read == everything(framework)


@EVERY_FRAMEWORK
def test_a_config_by_hand(framework: str, tmp_path: Path) -> None:
    """Defaults may be left out, names too; YAML is read as 1.2 has it, so ``1e-4`` is a number."""
    m = package(framework)
    path = tmp_path / "reg.yaml"
    path.write_text(WRITTEN, encoding="utf-8")
    assert m.Regularizer.load(path) == written(m)


@EVERY_FRAMEWORK
def test_the_data_of_a_regularizer(framework: str) -> None:
    """Every argument by name, defaults too; what is None is left out of a target; no word of a framework."""
    data = written(package(framework)).to_dict()
    assert data == {
        "twinreg": 1,
        "terms": [
            {
                "name": "sparsity",
                "penalty": {"is": "L1", "strength": 1e-4},
                "target": {"is": "activations", "pattern": "*.relu", "of": "output", "exclude": [], "missing": "error"},
                "schedule": {
                    "is": "linear_schedule",
                    "init_value": 0,
                    "end_value": 1,
                    "transition_steps": 100,
                    "transition_begin": 0,
                },
            },
            {
                "name": "Sum",
                "penalty": {
                    "is": "Sum",
                    "parts": [
                        {"times": 2.0, "penalty": {"is": "L2", "strength": 0.5}},
                        {"times": 1.0, "penalty": {"is": "L1", "strength": 1.0}},
                    ],
                },
                "target": {
                    "is": "params",
                    "pattern": "**",
                    "role": ["kernel", "bias"],
                    "exclude": [{"regex": r"head\..*", "flags": ["IGNORECASE"]}],
                    "joint": False,
                    "combine": "sum",
                },
            },
        ],
    }


@EVERY_FRAMEWORK
def test_a_penalty_of_the_callers_own(framework: str, tmp_path: Path) -> None:
    """Read and written where it is named, and refused where it is not, or where it would take another's place."""
    m = package(framework)

    @dataclass(frozen=True)
    class Mine(m.Penalty):
        strength: float
        mode: str = "a"
        powers: tuple[int, ...] = (1, 2)

    @dataclass(frozen=True)
    class L1(m.Penalty):
        strength: float

    reg = m.Regularizer((Mine(0.1, powers=(3,)) + m.L2(0.1)).on(m.params()))
    assert m.Regularizer.from_dict(reg.to_dict(penalties=(Mine,)), penalties=(Mine,)) == reg
    reg.save(tmp_path / "reg.json", penalties=(Mine,))
    assert m.Regularizer.load(tmp_path / "reg.json", penalties=(Mine,)) == reg
    with pytest.raises(LookupError) as caught:
        reg.to_dict()
    assert str(caught.value) == (
        "Regularizer.to_dict: terms[0].penalty.parts[0].penalty must be of a class that this package exports; "
        "got 'Mine'. Name a class of your own: penalties=(Mine,)."
    )
    with pytest.raises(LookupError, match=r"parts\[0\]\.penalty\.is must be the name of a penalty; got 'Mine'\."):
        m.Regularizer.from_dict(reg.to_dict(penalties=(Mine,)))
    with pytest.raises(
        TypeError, match=r"terms\[0\]\.penalty\.powers must be a list, each of it a whole number; got 3"
    ):
        m.Regularizer.from_dict(simple(penalty={"is": "Mine", "strength": 1, "powers": 3}), penalties=[Mine])
    with pytest.raises(LookupError, match="of a class that this package exports; got 'L1'"):
        m.Regularizer(L1(0.1).on(m.params())).to_dict()
    for given, kind in [((L1,), ValueError), ((int,), TypeError), ((m.Penalty,), TypeError), (("L1",), TypeError)]:
        with pytest.raises(kind, match=r"Regularizer\.from_dict: penalties must be "):
            m.Regularizer.from_dict(simple(), penalties=given)


def unwritable(m: Any) -> list[tuple[Any, type[Exception], str]]:
    """Terms that cannot be written down, and the sentence that says so."""

    @dataclass(frozen=True)
    class Mine(m.Penalty):
        extra: Any = field(default_factory=object)

    class Layer:
        pass

    line = m.schedules.linear_schedule(0, 1, 9)
    target, one = m.params(), m.L1(0.1)
    function = "because a function cannot be written down"
    return [
        (m.Penalty.from_function(abs, "f").on(target), TypeError, f"penalty must be of a class, {function}; got 'f'."),
        (one.on(target, schedule=abs), TypeError, f"schedule must be one of schedules, {function}; got <built-in"),
        (
            one.on(target, schedule=m.schedules.join_schedules([line, abs], [3])),
            TypeError,
            f"schedule.schedules[1] must be one of schedules, {function}; got <built-in",
        ),
        (
            one.on(m.activations(type=Layer)),
            TypeError,
            "target.type must be given by name, because a class belongs to one framework; got <class",
        ),
        (
            one.on(m.params("a" * 3000)),
            ValueError,
            "target.pattern must be a string of at most 2000 characters; got 'a",
        ),
        (
            Mine().on(target),
            TypeError,
            "penalty.extra must be a number, a string, true, false, null, or a tuple of them",
        ),
        (Mine(float("inf")).on(target), ValueError, "penalty.extra must be a finite number; got inf."),
        (Mine([1]).on(target), TypeError, "penalty.extra must be a number, a string, true, false, null, or a tuple"),
        (Mine(2**70).on(target), ValueError, "penalty.extra must be of at most 64 bits; got '71 bits'."),
    ]


@EVERY_FRAMEWORK
def test_what_cannot_be_written_down_is_refused(framework: str) -> None:
    """With its place, and where there is one the way out: nothing is left out in silence."""
    m = package(framework)
    for term, kind, sentence in unwritable(m):
        mine = [type(term.penalty)] if type(term.penalty).__name__ == "Mine" else []
        with pytest.raises(kind) as caught:
            m.Regularizer(term).to_dict(penalties=mine)
        assert str(caught.value).startswith(f"Regularizer.to_dict: terms[0].{sentence}")
    with pytest.raises(TypeError, match=r"Give the class by name: type='Path'\."):
        m.Regularizer(m.L1(0.1).on(m.activations(type=Path))).to_dict()
