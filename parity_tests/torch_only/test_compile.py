"""``torch.compile``: attached before, one graph and two compilations; else right or an error, never a silent zero."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import Unsupported
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, gradients, l1, l1_of, task
from torchreg import L1, L2, Regularizer, activations, params

# The compiler looks at ``.grad`` of every tensor that it meets and hides the warning, but not where it is an error.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@covers("compiled once, whatever the step and weights", "torch")
@pytest.mark.parametrize("inplace", [True, False])
def test_a_run_takes_one_graph_and_two_compilations(inplace: bool) -> None:
    """Training and evaluation in turn, with run-time values that change: right, without a graph break."""
    model = Net(nn.ReLU(inplace=inplace))
    reg = Regularizer(
        L1(1.0).on(activations("a", per="batch"), name="a", schedule=lambda step: 1.0 + step),
        L2(1.0).on(params(role="kernel"), name="k"),
    )
    counter = CompileCounterWithBackend("aot_eager")
    with reg.attach(model) as tape:
        compiled = torch.compile(model, backend=counter, fullgraph=True)
        for step in range(5):
            weight = 1.0 + 0.5 * step
            with tape.at(step=step, weights={"k": weight}):
                model.train()
                loss = task(compiled(X)) + tape.penalty()
            got = gradients(model, loss)
            with torch.no_grad():
                model.eval()
                compiled(X)
            decay = model.a.weight.square().sum() + model.b.weight.square().sum()
            plain = task(model.b(model.a(X).relu())) + (1 + step) * l1(model.a(X)) + weight * decay
            equal(loss, plain)
            equal(got, gradients(model, plain))
    assert counter.frame_count == 2


def test_passes_before_one_read_do_not_compile_each() -> None:
    """The second and the third of a read take one compilation each, later ones none; detaching takes one."""
    model, counter = Net(), CompileCounterWithBackend("eager")
    tape = l1_of().attach(model)
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    value = l1(model.act(model.a(X))).detach()
    for passes in range(1, 9):
        for _ in range(passes):
            compiled(X)
        equal(tape.penalty().detach(), passes * value)
    assert counter.frame_count <= 3
    tape.detach()
    compiled(X)
    assert tape._passes == 0


@covers("compiled in place (`model.compile()`)", "torch")
def test_a_model_compiled_in_place_after_attach_is_right() -> None:
    """``model.compile()`` and blocks compiled one by one."""
    model = Net()
    with l1_of().attach(model) as tape:
        model.compile(backend="aot_eager", fullgraph=True)
        got = gradients(model, task(model(X)) + tape.penalty())
    equal(got, gradients(model, task(model.b(model.act(model.a(X)))) + l1(model.act(model.a(X)))))
    blocks = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4, dtype=torch.float64), nn.Tanh()) for _ in range(2)])
    expected = l1_of("*.1").apply(blocks, X)[1]
    with l1_of("*.1").attach(blocks) as tape:
        for block in blocks:
            block.compile(backend="eager")
        for _ in range(2):
            blocks(X)
            found = tape.penalties()
            for path, value in expected.layers["s"].items():
                equal(found.layers["s"][path], value)


@covers("attached after compile", "torch", "RuntimeError: attach first")
@pytest.mark.parametrize("where", ["model", "in place", "submodule"])
def test_attaching_to_a_compiled_model_is_an_error(where: str) -> None:
    """Compiled code does not look for hooks; the path of what is compiled is named."""
    model: nn.Module = Net()
    if where == "model":
        model = torch.compile(model)  # pyright: ignore[reportAssignmentType]
    elif where == "in place":
        model.compile()
    else:
        model.act = torch.compile(model.act)  # pyright: ignore[reportAttributeAccessIssue]
    path = "act" if where == "submodule" else ""
    expected = f"Compiled at the path {path!r}: attach to the plain model first, then call torch.compile."
    for act in (l1_of().attach, lambda model: l1_of().apply(model, X)):
        with pytest.raises(RuntimeError, match=re.escape(expected)):
            act(model)


@covers("attached behind the back of compiled code", "torch")
def test_code_compiled_without_hooks_is_not_reused() -> None:
    """Of another model of the same class, of the same model before attach, and of a function that calls it."""
    plain, model = Net(), Net()
    torch.compile(plain, backend="eager")(X)
    value = l1(model.act(model.a(X))).detach()
    with l1_of().attach(model) as tape:
        compiled = torch.compile(model, backend="eager")
        for _ in range(2):
            compiled(X)
            equal(tape.penalty().detach(), value)
            torch.compile(plain, backend="eager")(X)
    function = torch.compile(lambda x: model(x), backend="eager")
    function(X)
    with l1_of(missing="skip").attach(model) as tape:
        for call in (compiled, function):
            call(X)
            equal(tape.penalty().detach(), value)
    assert "forward" not in vars(model.act)
    function(X)
    compiled(X)
    assert tape._passes == 0


@covers("attached to a compiled model that has a tape", "torch")
@pytest.mark.parametrize("kinds", [("output", "input"), ("input", "output"), ("output", "output")])
def test_a_tape_that_comes_later_is_heard(kinds: tuple[Any, Any]) -> None:
    """A second tape on the same module, of the other kind too, where a zero would be silent."""
    model = Net()
    with l1_of("act", of=kinds[0]).attach(model) as first:
        compiled = torch.compile(model, backend="eager")
        compiled(X)
        expected = first.penalty()
        with l1_of("act", of=kinds[1], missing="skip").attach(model) as second:
            compiled(X)
            equal(first.penalty(), expected)
            equal(second.penalty(), l1(model.a(X) if kinds[1] == "input" else model.act(model.a(X))))


def test_two_attached_models_of_one_class_do_not_share_a_tape() -> None:
    """Compiled one after the other, called in turn."""
    models = [Net(), Net()]
    tapes = [l1_of().attach(model) for model in models]
    compiled = [torch.compile(model, backend="eager", fullgraph=True) for model in models]
    for scale in (1.0, 2.0, 3.0):
        for i in (0, 1):
            compiled[i](scale * (i + 1) * X)
        for i in (0, 1):
            hidden = models[i].act(models[i].a(scale * (i + 1) * X))
            equal(tapes[i].penalty(), l1(hidden))


@covers("a compiled training step", "torch")
def test_a_compiled_step_reads_its_tape() -> None:
    """The call and the read in one compiled function, and ``apply`` in one."""
    model = Net()
    expected = task(model(X)) + l1(model.act(model.a(X)))
    with l1_of().attach(model) as tape:
        step = torch.compile(lambda x: task(model(x)) + tape.penalty(), backend="eager", fullgraph=True)
        for _ in range(2):
            equal(step(X), expected)

    def applied(x: Tensor) -> Tensor:
        output, penalties = l1_of().apply(model, x)
        return task(output) + penalties.total

    equal(torch.compile(applied, backend="eager")(X), expected)


class Checkpointed(Net):
    """The activation is recomputed in backward."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(lambda x: self.act(self.a(x)), x, use_reentrant=False)
        assert isinstance(hidden, Tensor)
        return self.b(hidden)


@covers("compiled with a checkpoint inside", "torch")
def test_a_checkpoint_inside_a_compiled_model() -> None:
    """Right with a graph break; with ``fullgraph`` the compiler refuses the side effect by itself."""
    model = Checkpointed()
    expected = gradients(model, task(model(X)) + l1(model.act(model.a(X))))
    with l1_of().attach(model) as tape:
        compiled = torch.compile(model, backend="aot_eager")
        for _ in range(2):
            equal(gradients(model, task(compiled(X)) + tape.penalty()), expected)
        torch._dynamo.reset()
        with pytest.raises(Unsupported, match="side effect"):
            torch.compile(model, backend="aot_eager", fullgraph=True)(X)
