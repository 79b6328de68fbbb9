"""Compares a PyTorch model with its Flax twin and prints which layer is the first to differ.

Each model and the batch are named ``package.module:function``; the function takes no arguments and returns a
torch.nn.Module, a flax module, or what ``parity_tests.twin.compare`` takes as its batch (``Sides`` where the two sides
differ). A flax function may return ``(module, variables)``, a batch function a dict of all keywords of ``compare``
that are to be given, with ``batch`` among them.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from parity_tests.problems import absent

SUMMARY = "compare a PyTorch model with its Flax twin"


class UsageError(Exception):
    """What was asked for cannot be done; one sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``twin``."""
    parser.add_argument("torch", metavar="MODULE:FUNCTION", help="makes the torch.nn.Module")
    parser.add_argument("flax", metavar="MODULE:FUNCTION", help="makes the flax module, or (module, variables)")
    parser.add_argument("--batch", metavar="MODULE:FUNCTION", help="makes the batch; by default batch, beside torch's")
    parser.add_argument("--config", metavar="PATH", help="a config of a regularizer, .json or .yaml")
    parser.add_argument("--flax-config", metavar="PATH", help="the config of the flax side, where names differ")
    parser.add_argument(
        "--weights", choices=("port", "given"), default="port", help="port torch's (default), or as given"
    )
    parser.add_argument("--train", action="store_true", help="compare in training mode")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    parser.add_argument("--steps", type=int, default=20, help="steps of the training that is compared (default 20)")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")


def run(arguments: argparse.Namespace) -> int:
    """0 where the twins are equal, 1 where they differ, 2 where they cannot be compared."""
    try:
        report = _report(arguments)
    except (UsageError, ImportError, LookupError, TypeError, ValueError, OSError) as error:
        print(f"twin: {error}", file=sys.stderr)
        return 2
    report.show()
    return 0 if report.ok else 1


def _report(arguments: argparse.Namespace) -> Any:
    for framework in ("torch", "jax"):
        if reason := absent(framework):
            raise UsageError(reason)
    from parity_tests.twin import compare

    torch_model, flax_model = _made("torch", arguments.torch), _made("flax", arguments.flax)
    variables = None
    if isinstance(flax_model, tuple):
        flax_model, variables = flax_model
    batch = _made("--batch", arguments.batch or f"{arguments.torch.partition(':')[0]}:batch")
    given = dict(batch) if isinstance(batch, Mapping) and "batch" in batch else {"batch": batch}
    unknown = set(given) - set(inspect.signature(compare).parameters)
    if unknown:
        raise UsageError(f"--batch must return keywords of compare; got {', '.join(sorted(unknown))}.")
    said = {name: getattr(arguments, name) for name in ("weights", "train", "optimizer", "steps", "dtype")}
    if arguments.config or arguments.flax_config:
        given["regularizer"] = _regularizers(arguments)
    return compare(torch_model, flax_model, **{"variables": variables, **said, **given})


def _regularizers(arguments: argparse.Namespace) -> Any:
    import jaxreg
    import torchreg
    from parity_tests.twin import Sides

    if not arguments.config:
        raise UsageError("--flax-config must come with --config; got it alone.")
    theirs = arguments.flax_config or arguments.config
    return Sides(torchreg.Regularizer.load(arguments.config), jaxreg.Regularizer.load(theirs))


def _made(argument: str, text: str) -> Any:
    """What the function that a text names returns."""
    return _function(argument, text)()


def _function(argument: str, text: str) -> Callable[[], Any]:
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise UsageError(f"{argument} must be MODULE:FUNCTION; got {text!r}.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{argument} must name a module that can be imported; got {text!r}: {error}.") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{argument} must name a function of {module}; got {name!r}.")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{argument} must name something callable; got {text!r}.")
    return found
