"""What every penalty is: a pure, frozen, hashable function of one array to one scalar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Any, ClassVar

from jax import Array

from ._arrays import accumulate, as_mask, check_floating
from ._spec.errors import coefficient, flag, optional_name, sentence
from ._spec.layout import Axes, check_axes, parameter_axes
from ._spec.targets import Target
from ._spec.terms import Term


@dataclass(frozen=True)
class Penalty:
    """A pure, frozen function of one array to one scalar, hashable together with its class.

    A penalty sees the canonical layout: ``out, in, k0, ...`` for a parameter, ``sample, p0, ..., feature`` for an
    activation. A subclass is a frozen dataclass with a method ``value(x, axes, where)``; it multiplies its own
    coefficients in.
    """

    coefficients: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__hash__" not in cls.__dict__:  # a dataclass would hash its fields alone, and L1(s) and L2(s) would collide
            cls.__hash__ = Penalty.__hash__

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, field.name) for field in fields(self))))

    def __post_init__(self) -> None:
        for name in self.coefficients:
            object.__setattr__(self, name, coefficient(type(self).__name__, name, getattr(self, name)))

    def __call__(self, x: Array, *, axes: Axes | None = None, where: Any = None) -> Array:
        """The penalty of one array.

        Args:
            x: the array, in canonical layout, floating.
            axes: the names of its axes; by default those of a parameter of its rank.
            where: a mask over its leading axes, 1 = counts; a masked position has zero value and gradient and enters
                no count.

        Raises:
            TypeError: ``x`` is not a dense floating array.
            ValueError: ``axes`` do not fit ``x``, ``where`` does not fit ``x``, or the penalty honours no mask.
        """
        name = type(self).__name__
        check_floating(name, "x", x)
        names = self.default_axes(x.ndim) if axes is None else check_axes(name, axes, x.ndim)
        if where is None:
            return self.value(x, names, None)
        if not self.honours_masks():
            raise ValueError(
                sentence(name, "where", "None, because this penalty has no meaning under a mask", "a mask")
            )
        mask = as_mask(name, where, x)
        return self.value(x, names, mask)

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        """The formula; ``where`` is a boolean mask of the rank of ``x``, or None."""
        raise TypeError(sentence(type(self).__name__, "value", "defined by the subclass", "Penalty.value"))

    def additive(self, axes: Axes) -> bool:
        """Whether the penalty of an array with these axes is a sum over its samples."""
        return False

    def honours_masks(self) -> bool:
        """Whether the penalty has a meaning when positions are left out."""
        return True

    def summands(
        self, shape: tuple[int, ...], axes: Axes, where: Array | None
    ) -> list[tuple[tuple[int, ...], Array | None]]:
        """The arrays that an additive penalty sums over, by shape and mask (of the rank of the shape), for
        ``per="position"`` and ``per="element"`` to count: the array itself, unless it sums over differences.
        """
        return [(shape, where)]

    def default_axes(self, rank: int) -> Axes:
        """The axis names of an array of a rank when none are given."""
        return parameter_axes(rank)

    def parts(self) -> tuple[tuple[float, Penalty], ...]:
        """The coefficients and penalties that this one is the sum of; each keeps its own rule of normalisation."""
        return ((1.0, self),)

    def on(self, target: Target, *, name: str | None = None, schedule: Callable[[Any], Any] | None = None) -> Term:
        """This penalty on a target, with a name and a schedule: a term of a ``Regularizer``."""
        return Term(self, target, name, schedule)

    def __add__(self, other: Any) -> Penalty:
        return Sum((*self.parts(), *other.parts())) if isinstance(other, Penalty) else NotImplemented

    def __mul__(self, factor: Any) -> Penalty:
        if isinstance(factor, Penalty):
            return NotImplemented
        number = coefficient(type(self).__name__, "factor", factor)
        return Sum(tuple((number * own, part) for own, part in self.parts()))

    __rmul__ = __mul__

    @staticmethod
    def from_function(function: Callable[[Array], Array], name: str, *, additive: bool = False) -> Penalty:
        """A penalty made from a plain function of one array to one scalar.

        Args:
            function: receives the array in canonical layout, in the dtype of accumulation; returns a scalar.
            name: what errors and tables call it.
            additive: whether it is a sum over samples, so that ``per`` applies to it on activations.

        Raises:
            TypeError: ``function`` is not callable, or ``name`` is not a string.
            ValueError: when called, ``function`` returns something that is not a scalar.
        """
        return Function(function, name, additive)


@dataclass(frozen=True)
class Sum(Penalty):
    """What ``p + q`` and ``2.0 * p`` make: penalties of the same array, each with a coefficient."""

    weighted: tuple[tuple[float, Penalty], ...]

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        return reduce(add, (number * part.value(x, axes, where) for number, part in self.weighted))

    def additive(self, axes: Axes) -> bool:
        return all(part.additive(axes) for _, part in self.weighted)

    def parts(self) -> tuple[tuple[float, Penalty], ...]:
        return self.weighted

    def honours_masks(self) -> bool:
        return all(part.honours_masks() for _, part in self.weighted)

    def default_axes(self, rank: int) -> Axes:
        """Those of an activation where some part makes sense only there."""
        parameter = parameter_axes(rank)
        defaults = (part.default_axes(rank) for _, part in self.weighted)
        return next((axes for axes in defaults if axes != parameter), parameter)


@dataclass(frozen=True)
class Function(Penalty):
    """What :meth:`Penalty.from_function` makes."""

    function: Callable[[Array], Array]
    name: str
    over_samples: bool

    def __post_init__(self) -> None:
        where = "Penalty.from_function"
        if not callable(self.function):
            raise TypeError(sentence(where, "function", "a function of one array", self.function))
        if optional_name(where, "name", self.name) is None:
            raise TypeError(sentence(where, "name", "a non-empty string", self.name))
        flag(where, "additive", self.over_samples)

    def value(self, x: Array, axes: Axes, where: Array | None) -> Array:
        result = self.function(accumulate(x))
        if not isinstance(result, Array) or result.shape != ():
            got = tuple(result.shape) if isinstance(result, Array) else type(result).__name__
            raise ValueError(sentence(self.name, "result", "a scalar array", got))
        return result

    def additive(self, axes: Axes) -> bool:
        return self.over_samples

    def honours_masks(self) -> bool:
        return False
