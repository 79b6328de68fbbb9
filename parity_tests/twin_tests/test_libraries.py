"""Models that this project did not write: torch's own, Hugging Face's and attnax's, against each other or a twin.

The twins of Hugging Face's models are in ``twins.py``; all are tiny and randomly initialised.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from parity_tests.options import FULL
from parity_tests.twin_tests.common import last, needs_both, numbers, shaken


@pytest.fixture(autouse=True)
def both_frameworks() -> None:
    """Every test here needs both."""
    needs_both()


def needs(*libraries: str) -> None:
    """Skips where a library is absent."""
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed, whose models are compared here")


def config(pattern: str, *exclude: str) -> dict[str, Any]:
    """Weight decay on all kernels but some, and a penalty on the output of one layer."""
    decay = {"is": "params", "role": "kernel", "exclude": list(exclude)}
    layer = {"is": "activations", "pattern": pattern}
    terms = [
        {"name": "decay", "penalty": {"is": "L2", "strength": 1e-2}, "target": decay},
        {
            "name": "sparse",
            "penalty": {"is": "L1", "strength": 1e-2},
            "target": layer,
        },
    ]
    return {"twinreg": 1, "terms": terms}


@pytest.fixture
def own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that a test adds are gone after it."""
    from parity_tests.twin import registry

    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


def seeded() -> None:
    """The weights of the torch model are the same in each run."""
    import torch

    torch.manual_seed(0)


@FULL
def test_vision_transformers_of_two_libraries() -> None:
    """Hugging Face's and attnax's: no line of either is this project's, and two parameters are paired by name."""
    needs("transformers", "attnax")
    import attnax
    from flax import nnx
    from transformers import ViTConfig, ViTForImageClassification

    from parity_tests.twin import Sides, compare

    seeded()
    made: Any = ViTConfig
    settings = made(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        num_labels=3, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6,
    )  # fmt: skip
    theirs = attnax.VisionTransformerConfig(
        image_size=8, patch_size=4, num_channels=3, d_model=8, num_heads=2, d_ff=16, num_layers=1, num_classes=3
    )
    x = numbers(2, 3, 8, 8)
    names = {
        "vit.embeddings.cls_token": "cls_token",
        "vit.embeddings.position_embeddings": "pos_embed.embedding",
    }
    report = compare(
        ViTForImageClassification(settings),
        attnax.VisionTransformer(nnx.Rngs(0), theirs),
        Sides(x, last(x)),
        names=names,
        regularizer=config("vit.layers.0.mlp.fc1"),
        patterns={"vit.layers.0.mlp.fc1": "layers.0.ffn.dense1"},
        output=Sides(lambda found: found.logits, lambda found: found),
        steps=5,
    )
    assert report.ok, str(report)
    assert sum(row.stage == "layer" and row.verdict == "equal" for row in report.rows) == 11


def test_an_encoder_layer_of_torch_and_of_attnax(own_rules: None) -> None:
    """A rule of the user's own joins torch's attention, whose projections are fused, with attnax's."""
    needs("attnax")
    import attnax
    import torch
    from flax import nnx

    from parity_tests.twin import compare, moved, rule

    @rule(torch.nn.MultiheadAttention, attnax.MultiHeadAttention)
    def attention(ours: Any, theirs: Any) -> Any:
        for number, name in enumerate(("query", "key", "value")):
            yield moved("in_proj_weight", f"{name}_proj.kernel", lambda w, n=number: np.split(w, 3)[n].T)
            yield moved("in_proj_bias", f"{name}_proj.bias", lambda b, n=number: np.split(b, 3)[n])
        yield moved("out_proj.weight", "output_proj.kernel", np.transpose)
        yield moved("out_proj.bias", "output_proj.bias")

    seeded()
    layer = torch.nn.TransformerEncoderLayer(
        8, 2, 16, activation="relu", norm_first=True, batch_first=True, layer_norm_eps=1e-6
    )
    twin = attnax.EncoderBlock(nnx.Rngs(0), d_model=8, num_heads=2, d_ff=16, ff_activation="relu")
    report = compare(layer, twin, numbers(2, 5, 8), steps=5)
    assert report.ok, str(report)
    assert [row.torch for row in report.rows if row.stage == "layer"] == [
        "norm1", "self_attn", "norm2", "linear1", "linear2",
    ]  # fmt: skip


@FULL
def test_gpt2() -> None:
    """``Conv1D`` weights, a causal mask, and scores from the tied embedding."""
    needs("transformers")
    from transformers import GPT2Config, GPT2LMHeadModel

    from parity_tests.twin import Sides, compare
    from parity_tests.twin_tests.twins import GPT2

    seeded()
    settings = GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2, use_cache=False
    )
    ids = np.random.default_rng(0).integers(0, 11, size=(2, 7))
    output = Sides(lambda found: found.logits, lambda found: found)
    model, twin = GPT2LMHeadModel(settings), GPT2(11, 8, 8, 2, 2)
    theirs = config("GPT2Block_1.Dense_2")
    # The head's other name of the embedding makes it a kernel in torch; flax knows no such name.
    ours = config("transformer.h.1.mlp.c_fc", "lm_head.weight")
    report = compare(model, twin, ids, regularizer=Sides(ours, theirs), output=output, steps=5)
    assert report.ok, str(report)
    assert any("torch: lm_head.weight: tied to transformer.wte.weight" in note for note in report.notes)
    unlike = Sides(config("transformer.h.1.mlp.c_fc"), theirs)
    found = compare(model, twin, ids, regularizer=unlike, output=output, steps=0).first_difference
    assert found is not None
    assert (found.stage, found.layer) == ("penalty", "decay")
    assert "torch alone has lm_head.weight" in found.note


@FULL
def test_bert() -> None:
    """Three linear layers are the projections of flax's attention; both outputs are compared."""
    needs("transformers")
    from transformers import BertConfig, BertModel

    from parity_tests.twin import Sides, compare
    from parity_tests.twin_tests.twins import Bert

    seeded()
    settings = BertConfig(
        vocab_size=11, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=8,
    )  # fmt: skip
    report = compare(
        BertModel(settings),
        Bert(11, 8, 8, 2, 2),
        np.random.default_rng(0).integers(1, 11, size=(2, 7)),
        output=Sides(lambda found: (found.last_hidden_state, found.pooler_output), lambda found: found),
        steps=5,
    )
    assert report.ok, str(report)
    assert sum(row.stage == "output" for row in report.rows) == 2


@FULL
def test_resnet() -> None:
    """Convolutions with running statistics; channels are first in torch and last in flax."""
    needs("transformers")
    from flax import nnx
    from transformers import ResNetConfig, ResNetForImageClassification

    from parity_tests.twin import Sides, compare
    from parity_tests.twin_tests.twins import ResNet

    seeded()
    made: Any = ResNetConfig
    settings = made(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=3)
    x = numbers(2, 3, 16, 16)
    # The shortcut of torch's block runs behind the convolutions, as the twin's does, so the order pairs them all.
    report = compare(
        shaken(ResNetForImageClassification(settings)),
        ResNet((4, 8), 3, nnx.Rngs(0)),
        Sides(x, last(x)),
        regularizer=config("resnet.embedder.embedder.convolution"),
        patterns={"resnet.embedder.embedder.convolution": "stem.convolution"},
        output=Sides(lambda found: found.logits, lambda found: found),
        steps=5,
    )
    assert report.ok, str(report)


@FULL
def test_a_stack_of_recurrent_layers() -> None:
    """torch's own two-layer LSTM, time-first, and the batch-first stack of linen's; Adam moves one bias of two."""
    import torch
    from flax import linen

    from parity_tests.twin import Sides, compare

    seeded()
    x = numbers(2, 5, 3)
    twin = linen.Sequential([linen.RNN(linen.OptimizedLSTMCell(4)), linen.RNN(linen.OptimizedLSTMCell(4))])
    report = compare(
        torch.nn.LSTM(3, 4, num_layers=2),
        twin,
        Sides(x.swapaxes(0, 1).copy(), x),
        output=Sides(lambda found: found[0].swapaxes(0, 1), lambda found: found),
        steps=5,
    )
    assert report.ok, str(report)
    assert any("the rest is held" in note for note in report.notes)
