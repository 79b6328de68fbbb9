"""The ways to run a penalty in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from parity_tests import devices
from parity_tests.comparer import Measured
from parity_tests.oracles import Axes, Mask
from parity_tests.precision import Array
from parity_tests.problems import Build, Problem, Result, package

FORMS = 32  # more than the targets of one rank have of shapes, strides and masks


def torch_array(problem: Problem) -> Any:
    """The leaf tensor; strided, it is a view that steps over NaN along axes in reverse memory order."""
    import torch

    dtype, device = getattr(torch, problem.dtype), devices.current()
    if not problem.strided:
        return torch.tensor(problem.x, dtype=torch.float64).to(dtype).to(device)
    sizes = problem.x.shape[::-1]
    buffer = torch.full([2 * size + 1 for size in sizes], torch.nan, dtype=dtype, device=device)
    view = buffer[tuple(slice(1, 2 * size, 2) for size in sizes)].permute(*reversed(range(len(sizes))))
    return view.copy_(torch.from_numpy(problem.x))


def eager(build: Build, problem: Problem) -> Result:
    """PyTorch as written."""
    penalty = build(package("torch"))
    return _run(lambda x, where: penalty(x, axes=problem.axes, where=where), problem)


def many(build: Build, xs: Array, axes: Axes, where: Mask) -> tuple[Array, Array]:
    """The values and gradients of many float64 arrays, mapped; each has a mask of its own, or none has."""
    import torch

    penalty, device = build(package("torch")), devices.current()
    each = torch.func.grad_and_value(lambda x, *mask: penalty(x, axes=axes, where=mask[0] if mask else None))
    given = [torch.tensor(array, device=device) for array in (xs, where) if array is not None]
    gradients, values = torch.func.vmap(each)(*given)
    return values.cpu().numpy(), gradients.cpu().numpy()


def from_torch(tensor: Any) -> Measured:
    """A tensor's numbers and dtype."""
    return Measured(tensor.detach().double().cpu().numpy(), str(tensor.dtype).removeprefix("torch."))


def aot(build: Build, problem: Problem) -> Result:
    """PyTorch compiled without a graph break, forward and backward traced, the kernels those of eager."""
    return _run_compiled(build, problem, "aot_eager")


def inductor(build: Build, problem: Problem) -> Result:
    """PyTorch compiled into kernels of its own."""
    return _run_compiled(build, problem, "inductor")


def _run_compiled(build: Build, problem: Problem, compiler: str) -> Result:
    import torch

    # An array's shapes and strides each have their version of one function; more than they are is not foreseen.
    with torch._dynamo.config.patch(recompile_limit=FORMS):
        return _run(_compiled(build, problem.axes, problem.dtype, problem.x.ndim, compiler), problem)


def _run(function: Callable[..., Any], problem: Problem) -> Result:
    import torch

    x = torch_array(problem).requires_grad_()
    where = None if problem.where is None else torch.from_numpy(problem.where.copy()).to(x.device)
    value = function(x, where)
    (gradient,) = torch.autograd.grad(value, x, allow_unused=True)
    return Result(from_torch(value), from_torch(torch.zeros_like(x) if gradient is None else gradient))


@lru_cache(maxsize=1)
def _compiled(build: Build, axes: Axes | None, dtype: str, rank: int, compiler: str) -> Callable[..., Any]:
    """One function at a time: dynamo counts what it compiles by the code, which all penalties share."""
    import torch

    torch._dynamo.reset()
    penalty = build(package("torch"))
    return torch.compile(
        lambda x, where: penalty(x, axes=axes, where=where), backend=compiler, fullgraph=True, dynamic=False
    )


def release() -> None:
    """Let go of what is compiled."""
    _compiled.cache_clear()
