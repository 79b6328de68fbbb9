"""Config files: what of the package they can name, and their reading and writing."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import schedules
from ._spec.decode import decode
from ._spec.documents import plain_scalar, read_events, read_json
from ._spec.encode import encode
from ._spec.errors import sentence
from ._spec.plain import MAX_BYTES
from ._spec.schema import schema_of
from ._spec.terms import Term
from ._spec.vocabulary import Vocabulary, exported, extended
from .penalty import Function, Penalty, Sum

SUFFIXES = (".json", ".yaml", ".yml")


def vocabulary(where: str, penalties: Iterable[type[Penalty]] = ()) -> Vocabulary:
    """All penalties and schedules that the package exports, and the penalties of the caller's."""
    package = importlib.import_module(__package__ or "")
    public = {name: getattr(package, name) for name in package.__all__}
    makers = {name: getattr(schedules, name) for name in schedules.__all__ if name != "Schedule"}
    found = extended(where, exported(public, Penalty), penalties, Penalty)
    return Vocabulary(found, makers, Sum, Function, schedules.Schedule)


def to_data(where: str, terms: tuple[Term, ...], penalties: Iterable[type[Penalty]]) -> dict[str, Any]:
    """The terms as plain data."""
    return encode(where, terms, vocabulary(where, penalties))


def from_data(where: str, data: Any, penalties: Iterable[type[Penalty]]) -> tuple[Term, ...]:
    """The terms that plain data says."""
    return decode(where, data, vocabulary(where, penalties))


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of config files."""
    return schema_of(vocabulary("schema"))


def read(where: str, path: str | os.PathLike[str]) -> Any:
    """The data of a file; its name says whether it is JSON or YAML."""
    file = _file(where, path)
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(sentence(where, "path", f"a file of at most {MAX_BYTES} bytes", str(file)))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(sentence(where, "text", "UTF-8", f"byte {error.start}")) from error
    if file.suffix == ".json":
        return read_json(where, text)
    return read_events(where, _events(where, text))


def write(where: str, path: str | os.PathLike[str], data: dict[str, Any]) -> None:
    """Writes data to a file, as JSON or YAML as its name says."""
    file = _file(where, path)
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n" if file.suffix == ".json" else _yaml_text(where, data)
    content = text.encode()
    if len(content) > MAX_BYTES:
        raise ValueError(sentence(where, "terms", f"few enough for a file of {MAX_BYTES} bytes", len(content)))
    file.write_bytes(content)


def _file(where: str, path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(sentence(where, "path", "a path", path))
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise ValueError(
            sentence(where, "path", f"of a file whose name ends in one of {', '.join(SUFFIXES)}", str(file))
        )
    return file


def _events(where: str, text: str) -> Iterator[Any]:
    """PyYAML's events, by libyaml where PyYAML was built with it: many times as fast."""
    yaml = _yaml(where)
    try:
        yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two from escapes beyond Unicode
        raise ValueError(sentence(where, "text", "YAML", " ".join(str(error).split())[:500])) from error


def _yaml(where: str) -> Any:
    try:
        return importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        hint = "Run: pip install 'twinreg[yaml]'"
        raise ImportError(
            sentence(where, "PyYAML", "installed for files of YAML", "no module named 'yaml'", hint)
        ) from error


def _yaml_text(where: str, data: dict[str, Any]) -> str:
    """As PyYAML writes plain data, with quotes around every string that would be read as something else."""
    yaml = _yaml(where)

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def string(dumper: Any, text: str) -> Any:
        style = None if isinstance(plain_scalar(text), str) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, string)
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
