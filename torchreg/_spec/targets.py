"""Targets: which arrays of a model a penalty is put on, and how their size is normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import choice, flag, optional_name, sentence
from .layout import Layout, check_layout
from .names import Pattern, check_patterns

ROLES = ("kernel", "bias", "scale", "embedding")
PER = ("batch", "example", "position", "element")

Role = Literal["kernel", "bias", "scale", "embedding"]
Per = Literal["batch", "example", "position", "element"]


@dataclass(frozen=True)
class ParamsTarget:
    """What :func:`params` returns: a checked selection of parameters."""

    pattern: tuple[Pattern, ...]
    role: tuple[str, ...] | None
    exclude: tuple[Pattern, ...]
    layout: Layout | None
    joint: bool
    combine: str


@dataclass(frozen=True)
class ActivationsTarget:
    """What :func:`activations` returns: a checked selection of activations."""

    pattern: tuple[Pattern, ...] | None
    type: tuple[type | str, ...] | None
    of: str
    index: int | str | None
    exclude: tuple[Pattern, ...]
    layout: Layout | None
    per: str | None
    mask: str | None
    missing: str


Target = ParamsTarget | ActivationsTarget


def params(
    pattern: Pattern | tuple[Pattern, ...] = "**",
    *,
    role: Role | tuple[Role, ...] | None = None,
    exclude: Pattern | tuple[Pattern, ...] = (),
    layout: tuple[Any, ...] | None = None,
    joint: bool = False,
    combine: Literal["sum", "mean"] = "sum",
) -> ParamsTarget:
    """Selects parameters by name and by role.

    Args:
        pattern: a glob over dotted names (``*`` within a segment, ``**`` across segments), a compiled ``re.Pattern``
            matched in full, or a tuple of them, each of which must match something.
        role: ``"kernel"``, ``"bias"``, ``"scale"`` or ``"embedding"``, or a tuple of them; the module that owns a
            parameter decides (the weight of a normalisation is a scale).
        exclude: patterns of names to leave out; a parameter excluded under any alias is out.
        layout: native axis names, for arrays whose axes nobody knows, as in ``("out", "in")``.
        joint: concatenate all matched arrays into one vector first.
        combine: how the canonical pieces of one array join, ``"sum"`` or ``"mean"``.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: an argument has a value that is not allowed.
    """
    where = "params"
    roles = (role,) if isinstance(role, str) else role
    if roles is not None and (not isinstance(roles, tuple | list) or not roles):
        raise TypeError(sentence(where, "role", f"one of {', '.join(map(repr, ROLES))}, or a tuple of them", role))
    return ParamsTarget(
        pattern=_patterns(where, pattern),
        role=None if roles is None else tuple(choice(where, "role", one, ROLES) for one in roles),
        exclude=check_patterns(where, "exclude", exclude),
        layout=check_layout(where, layout),
        joint=flag(where, "joint", joint),
        combine=choice(where, "combine", combine, ("sum", "mean")),
    )


def activations(
    pattern: Pattern | tuple[Pattern, ...] | None = None,
    *,
    type: type | str | tuple[type | str, ...] | None = None,  # as the field says it
    of: Literal["output", "input"] = "output",
    index: int | str | None = None,
    exclude: Pattern | tuple[Pattern, ...] = (),
    layout: tuple[Any, ...] | None = None,
    per: Per | None = None,
    mask: str | None = None,
    missing: Literal["error", "skip"] = "error",
) -> ActivationsTarget:
    """Selects activations: the outputs (or inputs) of modules, by name and by type. Every call counts.

    Args:
        pattern: a glob over dotted module names (``*`` within a segment, ``**`` across segments, ``""`` the root), a
            compiled ``re.Pattern`` matched in full, or a tuple of them, each of which must match something.
        type: a module class or class name, or a tuple of them; narrows the pattern.
        of: ``"output"`` or ``"input"``.
        index: position or key of the array, where a module has several floating outputs (or inputs).
        exclude: patterns of names to leave out.
        layout: native axis names, as in ``("sample", "feature", "...")``; ``...`` are the positions.
        per: what an additive penalty is divided by: ``"batch"`` nothing, ``"example"`` the number of samples (the
            default), ``"position"`` samples times positions, ``"element"`` the number of elements. A penalty that is
            not additive is never divided and refuses an explicit ``per``.
        mask: the name of a mask given by ``at(masks=...)``; what it leaves out counts nowhere.
        missing: ``"error"`` where a selected module that did not run is an error, ``"skip"`` where it may be skipped.

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: an argument has a value that is not allowed, or neither ``pattern`` nor ``type`` is given.
    """
    where = "activations"
    if pattern is None and type is None:
        hint = "'**' everywhere would count every container again."
        raise ValueError(sentence(where, "pattern", "given, or type", None, hint))
    if index is not None and (isinstance(index, bool) or not isinstance(index, int | str)):
        raise TypeError(sentence(where, "index", "a position, a key, or None", index))
    return ActivationsTarget(
        pattern=None if pattern is None else _patterns(where, pattern),
        type=_types(type),
        of=choice(where, "of", of, ("output", "input")),
        index=index,
        exclude=check_patterns(where, "exclude", exclude),
        layout=check_layout(where, layout),
        per=None if per is None else choice(where, "per", per, PER),
        mask=optional_name(where, "mask", mask),
        missing=choice(where, "missing", missing, ("error", "skip")),
    )


def _patterns(where: str, value: Any) -> tuple[Pattern, ...]:
    patterns = check_patterns(where, "pattern", value)
    if not patterns:
        raise ValueError(sentence(where, "pattern", "at least one pattern", value))
    return patterns


def _types(value: Any) -> tuple[type | str, ...] | None:
    members = value if isinstance(value, tuple | list) else (value,)
    if value is None:
        return None
    for member in members:
        if not isinstance(member, type | str):
            raise TypeError(sentence("activations", "type", "a class, a class name, or a tuple of them", member))
    if not members or "" in members:
        raise ValueError(sentence("activations", "type", "at least one class or class name", value))
    return tuple(members)
