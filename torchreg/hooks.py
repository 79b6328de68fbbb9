"""The hook objects of a tape: what PyTorch calls before and after modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from ._spec.targets import ActivationsTarget

if TYPE_CHECKING:
    from .capture import Tape


@dataclass(frozen=True)
class Site:
    """One selected module of one term, under the name it was chosen by."""

    term: int
    name: str
    target: ActivationsTarget


class Hook:
    """A hook of a tape. Its copies and pickles stay behind with the copied model, and do nothing."""

    def __init__(self, tape: Tape | None = None, sites: list[Site] | None = None) -> None:
        self.tape = tape
        self.sites = sites or []

    def __deepcopy__(self, memo: dict[int, Any]) -> Hook:
        return type(self)()

    def __reduce__(self) -> tuple[type[Hook], tuple[()]]:
        return type(self), ()

    def record(self, module: nn.Module, value: Any) -> None:
        if self.tape is not None and self.tape.recording:
            for site in self.sites:
                self.tape.record(site, module, value)


class Begin(Hook):
    def __call__(self, module: nn.Module, args: Any) -> None:
        if self.tape is not None:
            self.tape.begin()


class Input(Hook):
    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.record(module, {**dict(enumerate(args)), **kwargs})


class Output(Hook):
    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.record(module, output)


class Commit(Hook):
    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if self.tape is not None and self.tape.recording:
            self.tape.commit()
