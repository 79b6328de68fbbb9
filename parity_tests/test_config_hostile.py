"""Config files that mean harm or are broken end in one typed error of ours, soon, and run nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from parity_tests.backends import PACKAGES, package
from parity_tests.config_cases import WRITTEN, simple
from parity_tests.test_twins import sources

EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
HEAD, TERM = '{"twinreg": 1, "terms": [', json.dumps(simple()["terms"][0])
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
DEEP = 1_000_000
TEXTS: list[tuple[str, str, type[Exception], str]] = [
    (".json", "", ValueError, "text must be JSON; got 'line 1, column 1'. Expecting value."),
    (".json", "{'twinreg': 1}", ValueError, "text must be JSON; got 'line 1, column 2'. Expecting property name"),
    (".json", "[" * DEEP, ValueError, "text must be nested at most 32 deep; got 'more'."),
    (".json", '{"a":' * DEEP + "1" + "}" * DEEP, ValueError, "text must be nested at most 32 deep; got 'more'."),
    (".json", "[" * 40 + "]" * 40, ValueError, "[0]" * 33 + " must be nested at most 32 deep; got 'more'."),
    (".json", '{"twinreg": 1, "twinreg": 1}', ValueError, "every key of a mapping must be given once; got 'twinreg'."),
    (
        ".json",
        HEAD + TERM.replace("0.1", "NaN") + "]}",
        ValueError,
        "terms[0].penalty.strength must be a finite number; got nan.",
    ),
    (
        ".json",
        HEAD + TERM.replace("0.1", "-Infinity") + "]}",
        ValueError,
        "terms[0].penalty.strength must be a finite number; got -inf.",
    ),
    (
        ".json",
        HEAD + TERM.replace("0.1", "1e999") + "]}",
        ValueError,
        "terms[0].penalty.strength must be a finite number; got inf.",
    ),
    (
        ".json",
        HEAD + TERM.replace("0.1", "9" * 5000) + "]}",
        ValueError,
        "terms[0].penalty.strength must be a finite number; got inf.",
    ),
    (".json", HEAD + ", ".join([TERM] * 10_001) + "]}", ValueError, "terms must be at most 10000 terms; got 10001."),
    (".json", "[" + "0," * 1_500_000 + "0]", ValueError, "data must be among at most 1000000 values; got 'more'."),
    (".json", " " * (8 * 2**20 + 1), ValueError, "path must be a file of at most 8388608 bytes; got "),
    (".yaml", "", TypeError, "data must be a mapping; got None."),
    (".yaml", "a: [", ValueError, "text must be YAML; got "),
    (".yaml", "\0", ValueError, "text must be YAML; got "),
    (".yaml", "[" * DEEP, ValueError, "text must be nested at most 32 deep; got 'more'."),
    (".yaml", "[" * 33 + "]" * 33, TypeError, "data must be a mapping; got "),
    (".yaml", "[" * 34 + "]" * 34, ValueError, "text must be nested at most 32 deep; got 'more'."),
    (".yaml", "- " * DEEP, ValueError, "text must be nested at most 32 deep; got 'more'."),
    (".yaml", BOMB, ValueError, "text must be without aliases, anchors and tags; got 'line 1, column 4'."),
    (".yaml", "a: *b", ValueError, "text must be without aliases, anchors and tags; got 'line 1, column 4'."),
    (".yaml", "&a a: 1", ValueError, "text must be without aliases, anchors and tags; got 'line 1, column 1'."),
    (".yaml", "a: !!float 1", ValueError, "text must be without aliases, anchors and tags; got 'line 1, column 4'."),
    (".yaml", "twinreg: 1\ntwinreg: 1", ValueError, "every key of a mapping must be given once; got 'twinreg'."),
    (".yaml", "1: 2", TypeError, "every key of a mapping must be a string; got 1."),
    (".yaml", "[a]: 2", TypeError, "every key of a mapping must be a string; got []."),
    (".yaml", "--- 1\n--- 2", ValueError, "text must be one document; got 'more'."),
    (
        ".yaml",
        WRITTEN.replace("1e-4", ".nan"),
        ValueError,
        "terms[0].penalty.strength must be a finite number; got nan.",
    ),
    (
        ".yaml",
        WRITTEN.replace("1e-4", "-.inf"),
        ValueError,
        "terms[0].penalty.strength must be a finite number; got -inf.",
    ),
    (".yaml", WRITTEN.replace("1e-4", "yes"), TypeError, "terms[0].penalty.strength must be a number; got 'yes'."),
    (".yaml", '"\\U00110000": 1', ValueError, "text must be YAML; got "),
    (".yaml", "<<: {a: 1}\ntwinreg: 1", LookupError, "['<<'] must be a known key; got '<<'."),
]


@EVERY_FRAMEWORK
@pytest.mark.parametrize("case", TEXTS, ids=[f"{i}{suffix}" for i, (suffix, *_) in enumerate(TEXTS)])
def test_a_hostile_file_is_one_typed_error(
    framework: str, case: tuple[str, str, type[Exception], str], tmp_path: Path
) -> None:
    """Refused before anything is expanded or made, by one sentence that stays short."""
    suffix, text, kind, sentence = case
    path = tmp_path / f"reg{suffix}"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(kind) as caught:
        package(framework).Regularizer.load(path)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"Regularizer.load: {sentence}")
    assert len(str(caught.value)) < 1100


@EVERY_FRAMEWORK
@pytest.mark.parametrize("tag", ["object/apply:os.system", "object/new:pathlib.Path", "name:os.system", "module:os"])
def test_a_tag_of_python_runs_nothing(framework: str, tag: str, tmp_path: Path) -> None:
    """Neither does the file that it would have made come to be."""
    path, made = tmp_path / "reg.yaml", tmp_path / "made"
    path.write_text(f"twinreg: !!python/{tag} ['touch {made}']\n", encoding="utf-8")
    with pytest.raises(ValueError, match="without aliases, anchors and tags"):
        package(framework).Regularizer.load(path)
    assert not made.exists()


@EVERY_FRAMEWORK
def test_bytes_that_are_no_text(framework: str, tmp_path: Path) -> None:
    """UTF-8 alone is read; a byte order mark in front of it is not in the way."""
    m = package(framework)
    path = tmp_path / "reg.json"
    path.write_bytes(b'{"twinreg": "\xff"}')
    with pytest.raises(ValueError, match=r"^Regularizer\.load: text must be UTF-8; got 'byte 13'\.$"):
        m.Regularizer.load(path)
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(simple()).encode())
    assert m.Regularizer.load(path) == m.Regularizer.from_dict(simple())


@EVERY_FRAMEWORK
def test_the_name_of_a_file_says_its_kind(framework: str, tmp_path: Path) -> None:
    """No other kind is guessed; what is not there, or no path, says so."""
    m = package(framework)
    for use in (m.Regularizer.load, m.Regularizer.from_dict(simple()).save):
        with pytest.raises(
            ValueError, match=r"path must be of a file whose name ends in one of \.json, \.yaml, \.yml;"
        ):
            use(tmp_path / "reg.pickle")
        with pytest.raises(TypeError, match=r"path must be a path; got 3\."):
            use(3)
    with pytest.raises(FileNotFoundError):
        m.Regularizer.load(tmp_path / "reg.json")


@EVERY_FRAMEWORK
def test_yaml_without_pyyaml_names_the_extra(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON needs nothing; YAML says what to install."""
    m = package(framework)
    reg = m.Regularizer.from_dict(simple())
    (tmp_path / "reg.yaml").write_text(WRITTEN, encoding="utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)
    for use in (m.Regularizer.load, reg.save):
        with pytest.raises(ImportError, match=r"Run: pip install 'twinreg\[yaml\]'"):
            use(tmp_path / "reg.yaml")
    reg.save(tmp_path / "reg.json")
    assert m.Regularizer.load(tmp_path / "reg.json") == reg


@EVERY_FRAMEWORK
def test_ten_thousand_terms_are_read(framework: str) -> None:
    """As many as a config may have; those without a name are numbered."""
    terms = package(framework).Regularizer.from_dict({"twinreg": 1, "terms": 10_000 * simple()["terms"]}).terms
    assert (len(terms), terms[0].name, terms[-1].name) == (10_000, "L1", "L1_10000")


@EVERY_FRAMEWORK
def test_data_that_holds_itself_is_refused(framework: str) -> None:
    """Plain data from elsewhere may be a circle, or one list in many places."""
    m = package(framework)
    circle: dict[str, Any] = simple()
    circle["terms"].append(circle)
    bomb: list[Any] = ["x"] * 100
    for _ in range(20):
        bomb = [bomb] * 100
    for data, expected in ((circle, "nested at most 32 deep"), (simple(name=bomb), "among at most 1000000 values")):
        with pytest.raises(ValueError, match=expected):
            m.Regularizer.from_dict(data)


@pytest.mark.parametrize("name", ["torchreg", "jaxreg"])
def test_no_source_of_configs_can_run_code(name: str) -> None:
    """None of them names what could: the vocabulary is all that a file can reach."""
    files = {path: file for path, file in sources(name).items() if path == "config.py" or path.startswith("_spec/")}
    assert len(files) > 10
    for path, file in files.items():
        text = file.read_text(encoding="utf-8")
        found = [
            word
            for word in ("pickle", "eval(", "exec(", "marshal", "subprocess", "yaml.load", "unsafe")
            if word in text
        ]
        assert found == [], path
