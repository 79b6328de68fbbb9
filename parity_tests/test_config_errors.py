"""A config that is wrong is refused with one sentence, which names the place in it; the schema refuses it too."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from parity_tests.backends import PACKAGES, package
from parity_tests.config_cases import everything, simple
from parity_tests.config_refusals import BEYOND_SCHEMA, REFUSED
from parity_tests.markdown import ROOT

EVERY_FRAMEWORK = pytest.mark.parametrize("framework", PACKAGES)
SCHEMA = ROOT / "docs" / "config.schema.json"
IN_A_CHECKOUT = pytest.mark.skipif(not SCHEMA.exists(), reason="the schema is in a checkout, not in a wheel")


@EVERY_FRAMEWORK
@pytest.mark.parametrize("case", [*REFUSED, *BEYOND_SCHEMA], ids=[s[:60] for *_, s in REFUSED + BEYOND_SCHEMA])
def test_a_wrong_config_is_refused(framework: str, case: tuple[Any, type[Exception], str]) -> None:
    """With the same sentence by both packages: the place, what it must be, and the nearest names where it is a name."""
    data, kind, sentence = case
    with pytest.raises(kind) as caught:
        package(framework).Regularizer.from_dict(data)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"Regularizer.from_dict: {sentence}")


def schema_of(framework: str) -> dict[str, Any]:
    """The schema as one package makes it."""
    return import_module(f"{package(framework).__name__}.config").schema()


@EVERY_FRAMEWORK
@IN_A_CHECKOUT
def test_the_committed_schema_is_what_the_classes_say(framework: str) -> None:
    """Made again with ``python docs/make_schema.py``, from either package."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema_of(framework)


@EVERY_FRAMEWORK
def test_the_schema_takes_what_is_written(framework: str) -> None:
    """It is a schema of draft 2020-12, and every config of the round trip is valid under it."""
    schema = schema_of(framework)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(everything(framework).to_dict())) == []
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(simple(name=None, schedule=None))) == []


@EVERY_FRAMEWORK
def test_the_schema_refuses_what_is_refused(framework: str) -> None:
    """Every config of the table above, so an editor that knows the schema marks them."""
    validator = jsonschema.Draft202012Validator(schema_of(framework))
    assert [sentence for data, _, sentence in REFUSED if validator.is_valid(data)] == []


@EVERY_FRAMEWORK
def test_the_schema_knows_the_bounds_of_every_penalty(framework: str) -> None:
    """Bounds and choices are found by asking the class: where one refuses -1, or a word, the schema does."""
    m = package(framework)
    validator = jsonschema.Draft202012Validator(schema_of(framework))
    written = [term["penalty"] for term in everything(framework).to_dict()["terms"]]
    seen = SimpleNamespace(refused=0)
    for penalty in (penalty for penalty in written if penalty["is"] != "Sum"):
        for key, value in penalty.items():
            if key == "is":
                continue
            changed = simple(penalty=penalty | {key: "no such word" if isinstance(value, str) else -1})
            try:
                m.Regularizer.from_dict(changed)
            except (TypeError, ValueError):
                seen.refused += 1
                assert not validator.is_valid(changed), changed
            else:
                assert validator.is_valid(changed), changed
    assert seen.refused > 20
