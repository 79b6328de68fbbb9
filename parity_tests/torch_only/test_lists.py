"""Penalties and gradients of many parameters as lists: the numbers of one parameter after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from parity_tests.precision import unit
from parity_tests.torch_only.test_fused import large
from torchreg import L1, L2, ElasticNet, Regularizer, add_penalty_gradients, fused, lists, params

SHAPES = ((3, 4), (5,), (), (0,), (2, 3, 4))
TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def arrays(dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    """Arrays with zeros of both signs among them, and one in another memory order."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in SHAPES]
    made[0][0], made[1][:2] = 0.0, torch.tensor([-0.0, 0.5], dtype=torch.float64)
    return [x.to(device, dtype) for x in made] + [made[0].t().to(device, dtype)]


def check(dtype: torch.dtype, device: str) -> None:
    """Values within the bound of a sum, gradients within two roundings to their type and two of what they must be."""
    for l1, l2 in ((0.3, None), (None, 0.7), (0.3, 0.7)):
        xs, by = arrays(dtype, device), 1.5
        before = [torch.full_like(x, 0.25) for x in xs]
        after = [gradient.clone() for gradient in before]
        values = lists.add_in_lists(after, xs, l1, l2, by)
        exact = [x.double().cpu().numpy() for x in xs]
        a, b = l1 or 0.0, l2 or 0.0
        due = [a * math.fsum(np.abs(x).ravel()) + b * math.fsum((x**2).ravel()) for x in exact]
        wide = "float64" if dtype == torch.float64 else "float32"
        assert values.dtype == getattr(torch, wide)
        np.testing.assert_allclose(values.double().cpu().numpy(), due, rtol=16 * unit(wide), atol=0)
        for gradient, x in zip(after, exact, strict=True):
            slope = 0.25 + by * (a * np.sign(x) + 2 * b * x)
            size = 2 * torch.finfo(dtype).eps * (0.25 + by * (a + 2 * b * np.abs(x)))
            assert gradient.dtype == dtype
            assert np.all(np.abs(gradient.double().cpu().numpy() - slope) <= size)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_lists_of_short_arrays(dtype: torch.dtype) -> None:
    """The same code on the CPU, where the running sums of short arrays are as good."""
    check(dtype, "cpu")


def check_nodes(dtype: torch.dtype, device: str) -> None:
    """One node for a list: the values and the gradients of one array after the other, whatever comes back to each."""
    generator = torch.Generator().manual_seed(1)
    shapes = [(3, 4), (5,), (3, 4), (), (0,), (5,), (), (0,), (3, 4)]
    xs = [torch.randn(shape, dtype=torch.float64, generator=generator).to(device, dtype) for shape in shapes]
    xs[0][0], xs[1][:2] = 0.0, torch.tensor([-0.0, 0.5])
    xs = [x.requires_grad_(i != 2) for i, x in enumerate(xs)]
    for l1, l2 in ((0.3, None), (None, 0.7), (0.3, 0.7)):
        found = lists.elastics(xs, l1, l2)
        by_place = {i: value for places, values in found for i, value in zip(places, values.view(-1), strict=True)}
        due = [fused.elastic(x, l1, l2) for x in xs]
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        assert sorted(by_place) == list(range(len(xs)))
        assert any(len(places) > 1 for places, _ in found) == (device != "cpu" or dtype == wide)
        free = [x for x in xs if x.requires_grad]
        values = [by_place[i] for i in range(len(xs))]
        near = {"rtol": 4 * torch.finfo(wide).eps, "atol": 0}
        torch.testing.assert_close(values, due, **near)
        assert all(value.dtype == wide for value in values)
        near = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 0}
        weights = torch.arange(1.0, len(xs) + 1, dtype=wide, device=device)
        vectors = [value for _, value in found]
        for got, want in (
            (torch.stack(values) @ weights, torch.stack(due) @ weights),
            (joined(vectors), joined(due)),
        ):
            slopes = [torch.autograd.grad(total, free, retain_graph=True) for total in (got, want)]
            torch.testing.assert_close(*slopes, **near)


def joined(values: list[torch.Tensor]) -> torch.Tensor:
    """The sum of scalars and of vectors, by one sum each."""
    return torch.stack([value.sum() for value in values]).sum()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_one_node_for_a_list(dtype: torch.dtype) -> None:
    """On the CPU arrays of one shape have a node, unless they are narrower than their sums."""
    check_nodes(dtype, "cpu")


def many() -> tuple[torch.nn.ParameterList, list[torch.Tensor]]:
    """Parameters of which two and two have a node."""
    torch.manual_seed(0)
    xs = [torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in ((2, 3), (4,), (2, 3), (4,))]
    return torch.nn.ParameterList(xs), list(xs)


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.7), ElasticNet(0.3, 0.7), L1(0.1) + 2.0 * L2(0.2)], ids=str)
def test_a_tape_and_its_parts(penalty: L1) -> None:
    """Totals and parts in the order of the model, with a weight and without, each with a gradient of its own."""
    model, xs = many()
    tape = Regularizer(penalty.on(params("**"), name="all")).attach(model)
    for weight in (None, 3.0):
        with tape.at(weights=None if weight is None else {"all": weight}):
            penalties = tape.penalties()
        due = [(weight or 1.0) * penalty(x) for x in xs]
        layers = penalties.layers["all"]
        assert list(layers) == ["0", "1", "2", "3"]
        torch.testing.assert_close(list(layers.values()), due, rtol=1e-14, atol=0)
        for got, want in ((penalties.total, joined(due)), (layers["2"], due[2])):
            torch.testing.assert_close(got, want, rtol=1e-14, atol=0)
            got_slopes, want_slopes = (
                torch.autograd.grad(value, xs, allow_unused=True, retain_graph=True, materialize_grads=True)
                for value in (got, want)
            )
            torch.testing.assert_close(got_slopes, want_slopes, rtol=1e-14, atol=0)


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.7), ElasticNet(0.3, 0.7)], ids=str)
def test_a_node_of_a_list_is_differentiated_again(penalty: L1) -> None:
    """Second derivatives, and many vectors through one backward."""
    model, xs = many()
    total = Regularizer(penalty.on(params("**"))).attach(model).penalty()
    slopes = torch.autograd.grad(total, xs, create_graph=True)
    second = torch.autograd.grad(joined([slope * slope.detach() for slope in slopes]), xs)
    l2 = {"L1": 0.0, "L2": 0.7, "ElasticNet": 0.7}[type(penalty).__name__]
    for got, slope in zip(second, slopes, strict=True):
        torch.testing.assert_close(got, 2 * l2 * slope.detach(), rtol=1e-14, atol=0)
    factors = torch.tensor([0.0, 1.0, -2.5], dtype=torch.float64)
    several = torch.autograd.grad(total, xs, factors, is_grads_batched=True)
    for got, slope in zip(several, slopes, strict=True):
        torch.testing.assert_close(got, factors.view(3, *(1,) * slope.ndim) * slope, rtol=1e-14, atol=0)


def test_a_list_that_is_written_over_is_told_in_backward() -> None:
    """As any other saved tensor is; never a wrong gradient."""
    model, xs = many()
    total = Regularizer(L1(0.3).on(params("**"))).attach(model).penalty()
    with torch.no_grad():
        xs[0].neg_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # PyTorch's own, at its first jvp
def test_where_a_node_cannot_serve_the_plain_algebra_does() -> None:
    """torch.func, forward mode, compiled code, autocast: the same numbers."""
    model, xs = many()
    reg = Regularizer(ElasticNet(0.3, 0.7).on(params("**")))
    due = joined([ElasticNet(0.3, 0.7)(x.detach()) for x in xs])
    slopes = torch.autograd.grad(reg.attach(model).penalty(), xs)

    def penalty(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(Reading(model, reg), {f"model.{i}": w for i, w in weights.items()}, ())

    weights = {str(i): x.detach() for i, x in enumerate(xs)}
    torch.testing.assert_close(penalty(weights), due, rtol=1e-14, atol=0)
    got = torch.func.grad(penalty)(weights)
    torch.testing.assert_close([got[name] for name in weights], list(slopes), rtol=1e-14, atol=0)
    tangent = torch.func.jvp(penalty, (weights,), (got,))[1]
    torch.testing.assert_close(tangent, joined([slope**2 for slope in slopes]), rtol=1e-14, atol=0)
    tape = reg.attach(model)
    compiled = torch.compile(tape.penalty, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(), due, rtol=1e-14, atol=0)
    torch._dynamo.reset()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(tape.penalty(), due, rtol=1e-14, atol=0)


class Reading(torch.nn.Module):
    """A model whose output is the penalty of what it holds."""

    def __init__(self, model: torch.nn.Module, reg: Regularizer) -> None:
        super().__init__()
        self.model, self.reg = model, reg

    def forward(self) -> torch.Tensor:
        return self.reg.attach(self.model).penalty()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("given", [(0.3, None), (None, 0.7), (0.3, 0.7), (0.0, None)], ids=str)
def test_many_arrays_at_once(given: tuple[float | None, float | None], dtype: torch.dtype) -> None:
    """Empty, scalar, of one size in several shapes, more than fit one matrix, and long: as one by one."""
    shapes = [(0,), (), (3, 4), (12,), (2, 0), (lists.ADDED + 1,), *[(2, lists.ADDED // 5)] * 5, (12,)]
    xs = [large(math.prod(shape), dtype).detach().reshape(shape) for shape in shapes]
    slopes = [torch.ones_like(x) for x in xs]
    found = lists.add_elastic_gradients(slopes, xs, list(lists.lists_of(xs, lists.ADDED)), *given, 0.5)
    values = {place: value for places, part in found for place, value in zip(places, part.view(-1), strict=True)}
    assert sorted(values) == list(range(len(xs)))
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for place, (x, slope) in enumerate(zip(xs, slopes, strict=True)):
        one = torch.ones_like(x)
        due = fused.add_elastic_gradient(one, x, *given, 0.5)
        bound = 1e-13 if dtype == torch.float64 else 2 * (2 + math.log2(2 * max(x.numel(), 1))) * unit("float32")
        torch.testing.assert_close(values[place], due, rtol=bound, atol=0)
        torch.testing.assert_close(slope, one, rtol=0, atol=torch.finfo(dtype).eps)  # terms of size 1 may cancel
        assert values[place].dtype == wide


def test_a_share_has_one_array_or_few_elements() -> None:
    """Every place is in one share, in order; a share of several has at most so many elements."""
    sizes = [lists.LISTED + 1, 1, lists.LISTED - 1, 1, 2 * lists.LISTED, 3]
    assert list(lists._shares(list(range(6)), sizes)) == [[0], [1, 2], [3], [4], [5]]


def on_cuda() -> None:
    """Skips where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU: lists of CUDA tensors")


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_lists_on_a_gpu(dtype: torch.dtype) -> None:
    """As on the CPU."""
    on_cuda()
    check(dtype, "cuda")


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_one_node_for_a_list_on_a_gpu(dtype: torch.dtype) -> None:
    """As on the CPU, of one type whatever the shapes."""
    on_cuda()
    check_nodes(dtype, "cuda")


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.7), ElasticNet(0.3, 0.7)], ids=str)
def test_add_penalty_gradients_on_a_gpu(penalty: L1) -> None:
    """The optimizer's way against the loss's, for a model whose weights are on a GPU."""
    on_cuda()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 300), torch.nn.Linear(300, 2)).cuda()
    reg = Regularizer(penalty.on(params("**"), name="all"))
    total = reg.attach(model).penalty()
    due = torch.autograd.grad(total, list(model.parameters()))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    handle = add_penalty_gradients(optimizer, reg, model)
    optimizer.step()
    assert handle.penalties is not None
    torch.testing.assert_close(handle.penalties.total, total.detach(), rtol=32 * unit("float32"), atol=0)
    for parameter, gradient in zip(model.parameters(), due, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=8 * unit("float32"), atol=0)
