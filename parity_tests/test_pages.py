"""The pages of the penalties are complete: each penalty has its section, its picture and its line in the README."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from parity_tests.backends import package, require
from parity_tests.families import FAMILIES, entry_of
from parity_tests.markdown import ROOT, pages

pytestmark = pytest.mark.skipif(not pages(), reason="the pages are in a checkout, not in a wheel")
DOCS = ROOT / "docs"
NAMES = {family: list(dict.fromkeys(entry.name for entry in entries)) for family, entries in FAMILIES.items()}


def loaded(name: str) -> ModuleType:
    """A script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """The script that draws, which needs both frameworks and matplotlib."""
    require("torch")
    require("jax")
    pytest.importorskip("matplotlib")
    loaded("_pictures_table")
    return loaded("pictures")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_penalty_has_its_section(family: str) -> None:
    """One page per family, with a heading and the docstring of each of its penalties, and the family's picture."""
    text = (DOCS / "penalties" / f"{family}.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == sorted(NAMES[family])
    for name in NAMES[family]:
        section = text.split(f"## {name}\n")[1].split("\n## ")[0]
        assert f"autoclass:: torchreg.{name}" in section
        assert all(f"**{word}:**" in section for word in ("When", "Usual strength", "Cost"))
    assert f"({family}.png)" in text
    assert (DOCS / "penalties" / f"{family}.png").exists()


def test_the_tables_name_every_penalty() -> None:
    """README and the index of the pages list what the packages have."""
    for path in (ROOT / "README.md", DOCS / "penalties" / "index.md"):
        text = Path(path).read_text(encoding="utf-8")
        assert not [name for names in NAMES.values() for name in names if f"`{name}`" not in text], path


def test_every_exported_penalty_is_in_the_catalogue() -> None:
    """What the package exports as a penalty is what the suite knows, and nothing else."""
    m = package("torch")
    exported = {
        name for name in m.__all__ if isinstance(thing := getattr(m, name), type) and issubclass(thing, m.Penalty)
    }
    assert exported - {"Penalty"} == {name for names in NAMES.values() for name in names}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pictures_are_of_every_penalty_and_alike_in_both(family: str, pictures: ModuleType) -> None:
    """What is drawn as a line and what is drawn as dots is the same curve, within 1e-12."""
    table = sys.modules["_pictures_table"].PICTURES[family]
    assert sorted(table) == sorted(NAMES[family])
    for picture in table.values():
        _, a, b, _ = pictures.along(picture, 13)
        one, other = pictures.torch_values(picture, a, b), pictures.jax_values(picture, a, b)
        for left, right in zip(one, other, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-13)


def test_entries_find_their_family() -> None:
    """Each configuration belongs to exactly one entry."""
    configs = [config for entries in FAMILIES.values() for entry in entries for config in entry.configs]
    assert len(set(configs)) == len(configs)
    assert all(config in entry_of(config).configs for config in configs)
