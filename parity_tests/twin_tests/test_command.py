"""``python -m parity_tests twin``: the table and the exit code, without a traceback for what the caller got wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity_tests.__main__ import main
from parity_tests.twin_tests.common import needs_both

FACTORIES = """
from parity_tests.twin_tests.common import linen_mlp, numbers, torch_mlp

torch_model, flax_model = torch_mlp, linen_mlp
SETTING = 3

def exact():
    return linen_mlp(approximate=False)

def batch():
    return numbers(5, 3)

def everything():
    return {"batch": numbers(5, 3), "names": {"first": "Dense_0"}}

def too_much():
    return {"batch": numbers(5, 3), "name": {}}
"""
CONFIG = """{"twinreg": 1, "terms": [{"name": "decay", "penalty": {"is": "L2", "strength": 0.1},
    "target": {"is": "params", "role": "kernel"}}]}"""


@pytest.fixture(autouse=True)
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module beside the caller that makes models."""
    needs_both()
    (tmp_path / "made_here.py").write_text(FACTORIES, encoding="utf-8")
    (tmp_path / "reg.json").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_equal_twins_exit_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The batch is found beside the torch model, and the config's penalty is compared."""
    assert main(["twin", "made_here:torch_model", "made_here:flax_model", "--config", "reg.json", "--steps", "1"]) == 0
    out = capsys.readouterr().out
    assert any(line.split()[:3] == ["penalty", "decay", "decay"] for line in out.splitlines())
    assert out.splitlines()[-1].startswith("equal: 8 torch arrays")


def test_twins_that_differ_exit_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line names the first layer that differs."""
    where = ["made_here:torch_model", "made_here:exact", "--batch", "made_here:everything", "--steps", "0"]
    assert main(["twin", *where]) == 1
    assert "first: layer second (flax: Dense_1): error" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["made_here", "made_here:flax_model"], "twin: torch must be MODULE:FUNCTION; got 'made_here'."),
        (["nowhere:torch_model", "made_here:flax_model"], "twin: torch must name a module that can be imported"),
        (["made_here:torch_model", "made_here:nothing"], "twin: flax must name a function of made_here; got 'nothing'"),
        (["made_here:SETTING", "made_here:flax_model"], "twin: torch must name something callable"),
        (
            ["made_here:torch_model", "made_here:flax_model", "--batch", "made_here:too_much"],
            "twin: --batch must return keywords of compare; got name.",
        ),
        (
            ["made_here:torch_model", "made_here:flax_model", "--flax-config", "reg.json"],
            "twin: --flax-config must come with --config; got it alone.",
        ),
        (["made_here:torch_model", "made_here:flax_model", "--config", "absent.json"], "absent.json"),
        (["made_here:torch_model", "made_here:torch_model"], "twin: compare: flax_model must be a flax.linen.Module"),
    ],
)
def test_a_wrong_call_exits_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence on the standard error."""
    assert main(["twin", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """No command, an unknown one, or a dtype that is none."""
    for arguments in ([], ["unknown"], ["twin", "a:b", "c:d", "--dtype", "float16"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "usage: python -m parity_tests" in capsys.readouterr().err
