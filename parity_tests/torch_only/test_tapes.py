"""Tapes beside each other: on one model, in threads, with run-time values."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity_tests.capture_table import covers
from parity_tests.torch_only.common import Net, X, equal, gradients, l1, l1_of, task
from torchreg import L1, Regularizer, Tape, activations


def test_what_is_no_model_is_refused_by_who_was_asked() -> None:
    """``attach`` and ``apply`` say their own names."""
    for call, name in ((l1_of().attach, "attach"), (l1_of().apply, "apply")):
        with pytest.raises(TypeError, match=rf"^Regularizer\.{name}: model must be a torch\.nn\.Module; got 'list'"):
            call([1, 2])  # pyright: ignore[reportArgumentType]


@covers("several regularizers on one model", "torch")
def test_regularizers_on_one_model_do_not_see_each_other() -> None:
    """Two tapes of the same and one of another regularizer; detaching one leaves the others, twice does nothing."""
    model, reg = Net(), l1_of()
    tapes = [reg.attach(model), reg.attach(model), l1_of("a").attach(model)]
    model(X)
    values = [tape.penalty() for tape in tapes]
    equal(values[0], values[1])
    equal(values[2], l1(model.a(X)))
    tapes[0].detach()
    tapes[0].detach()
    model(X)
    equal(tapes[1].penalty(), values[1])
    equal(tapes[2].penalty(), values[2])
    with pytest.raises(RuntimeError, match="a pass must be made"):
        tapes[0].penalty()
    for tape in tapes:
        tape.detach()
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "forward" not in vars(module)


@covers("threads", "torch")
def test_eight_threads_with_a_model_and_a_tape_each() -> None:
    """Each thread gets what it would get alone."""

    models = [Net(nn.ReLU(inplace=True)) for _ in range(8)]  # here: the seed of their weights is global

    def work(seed: int) -> Tensor:
        model, x = models[seed], X + seed
        with l1_of("a").attach(model) as tape:
            return torch.stack([gradients(model, task(model(x)) + tape.penalty()) for _ in range(20)])

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, range(8)))
    for seed, got in enumerate(together):
        assert torch.equal(got, work(seed))


def test_run_time_values_hold_for_the_passes_inside() -> None:
    """Nested ``at``: the outer values are back behind the inner ones, after an error too."""
    model = Net()
    reg = Regularizer(L1(1.0).on(activations("act", per="batch", mask="m"), name="s"))
    hidden = model.act(model.a(X)).abs().sum(1)
    ones, half = torch.ones(6), torch.tensor([1, 1, 1, 0, 0, 0])

    def read(tape: Tape) -> Tensor:
        model(X)
        return tape.penalty()

    with reg.attach(model) as tape, tape.at(masks={"m": ones}):
        equal(read(tape), hidden.sum())
        with suppress(ZeroDivisionError), tape.at(masks={"m": half}, weights={"s": 2.0}):
            equal(read(tape), 2 * hidden[:3].sum())
            raise ZeroDivisionError
        equal(read(tape), hidden.sum())


@covers("replicas in threads (`DataParallel`)", "torch", "RuntimeError: DistributedDataParallel")
def test_a_replica_is_refused() -> None:
    """DataParallel runs replicas, hooks and all, in threads of one process: the first one's call is an error."""
    model = Net()
    with l1_of().attach(model) as tape:
        replica: Any = model._replicate_for_data_parallel()
        with pytest.raises(RuntimeError) as caught:
            replica(X)
        assert str(caught.value) == (
            "Tape: model must be no replica of torch.nn.DataParallel; got 'Net'. Use "
            "torch.nn.parallel.DistributedDataParallel, one process for each device."
        )
        nn.DataParallel(model)(X)  # without several devices it makes none
        assert tape.penalty() == l1(model.act(model.a(X)))
