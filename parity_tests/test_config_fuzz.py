"""However a config is broken, it is read or refused by one typed error of ours; 10,000 examples in the full tier."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_tests.backends import PACKAGES, package
from parity_tests.config_cases import WRITTEN, everything, simple

EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
OURS = (TypeError, ValueError, LookupError)

WORDS = st.sampled_from(
    ["is", "name", "L1", "Sum", "params", "strength", "times", "parts", "twinreg", "regex", "**", "", "__class__"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container of nested data with each of its keys."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    return [pair for key in keys for pair in [(data, key), *places(data[key])]]


@lru_cache
def written_terms(framework: str) -> list[Any]:
    """The terms of a config of all there is."""
    return everything(framework).to_dict()["terms"]


@st.composite
def broken(draw: st.DrawFn, framework: str) -> Any:
    """One or two terms of all there are with one or two values replaced, taken away, or put under another key."""
    terms = draw(st.lists(st.sampled_from(written_terms(framework)), min_size=1, max_size=2))
    data = {"twinreg": 1, "terms": copy.deepcopy(terms)}
    for _ in range(draw(st.integers(1, 2))):
        place: tuple[Any, Any] = draw(st.sampled_from(places(data) or [([0], 0)]))
        container, key = place
        change = draw(st.sampled_from(["replace", "remove", "rename"]))
        if change == "replace":
            container[key] = draw(DATA)
        elif change == "rename" and isinstance(container, dict):
            container[draw(WORDS | st.text(max_size=6))] = container.pop(key)
        else:
            del container[key]
    return data


def is_one_of_ours(use: Any, data: Any, where: str) -> bool:
    """Whether a call refuses with a sentence of ours; any error but the three kinds goes through."""
    try:
        use(data)
    except OURS as error:
        kind, text = type(error), str(error)
    else:
        return False
    assert kind in OURS, kind
    assert text.startswith(f"Regularizer.{where}: "), text
    assert " must be " in text, text
    assert "; got " in text, text
    return True


@EVERY_FRAMEWORK
@given(data=st.data())
def test_broken_configs(framework: str, data: st.DataObject) -> None:
    """Whatever is broken: a regularizer that is written down again, or one typed error."""
    m = package(framework)
    config = data.draw(broken(framework) | DATA)
    if not is_one_of_ours(m.Regularizer.from_dict, config, "from_dict"):
        again = m.Regularizer.from_dict(config)
        assert m.Regularizer.from_dict(again.to_dict()) == again


@EVERY_FRAMEWORK
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@given(data=st.data())
def test_broken_texts(
    framework: str, suffix: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A good file with a piece cut out, put in or written over, or any bytes at all."""
    m = package(framework)
    path = tmp_path_factory.getbasetemp() / f"{framework}{suffix}"
    good = (WRITTEN if suffix == ".yaml" else json.dumps(simple(schedule=None, name="a"))).encode()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 8)))
    signs = st.text("[]{}:,&*!|>-'\"\\ \n#%@`0e.~<?", max_size=6).map(str.encode)
    path.write_bytes(good[:start] + data.draw(signs | st.binary(max_size=6)) + good[end:])
    is_one_of_ours(m.Regularizer.load, path, "load")
