"""Either package works where the other framework is not installed, never imports it, and says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from parity_tests.backends import PACKAGES, require
from parity_tests.options import FULL
from parity_tests.problems import MODULES

# None in the table of modules is the import system's own way to say that a module is not to be had.
BLOCK = "import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
USE = {
    "torch": "import torch; x = torch.tensor([3.0, -4.0], requires_grad=True)",
    "jax": "import jax.numpy as jnp; x = jnp.array([3.0, -4.0])",
}
OTHER = {"torch": "jax", "jax": "torch"}


def run(code: str) -> subprocess.CompletedProcess[str]:
    """The code in a process of its own, which finds the packages where this one did."""
    here = str(Path(__file__).parents[1])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    }
    environment.pop("TWINREG_REQUIRE", None)  # what this run must have, a process without it need not
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("framework", PACKAGES)
def test_one_package_needs_one_framework(framework: str) -> None:
    """With the other framework out of reach, every module of the package imports and a penalty has its value."""
    require(framework)
    name, other = PACKAGES[framework], OTHER[framework]
    blocked = [*MODULES[other], PACKAGES[other]]
    code = BLOCK.format(blocked=blocked) + (
        f"import importlib, pkgutil, {name} as package\n"
        "for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    if '.integrations.' not in found.name: importlib.import_module(found.name)\n"
        f"{USE[framework]}\n"
        "assert float((package.L1(0.5) + 2.0 * package.L2Norm(1.0))(x)) == 13.5\n"
        f"print(sorted(name for name in {blocked!r} if sys.modules.get(name)))\n"
    )
    result = run(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("framework", PACKAGES)
def test_importing_one_package_does_not_import_the_other_framework(framework: str) -> None:
    """Where both are installed, the other one stays out of the process."""
    require(framework)
    foreign = {*MODULES[OTHER[framework]], PACKAGES[OTHER[framework]]}
    result = run(f"import sys, {PACKAGES[framework]}; print(sorted(set(sys.modules) & {foreign!r}))")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("framework", "missing"), [(framework, module) for framework in PACKAGES for module in MODULES[framework][:2]]
)
def test_a_missing_framework_is_an_import_error_that_names_the_extra(framework: str, missing: str) -> None:
    """The error says what to install and how."""
    name = PACKAGES[framework]
    result = run(BLOCK.format(blocked=[missing]) + f"import {name}")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {name}: ")
    assert f"pip install 'twinreg[{framework}]'" in last
    assert missing in last


@FULL
def test_collecting_the_suite_imports_neither_framework() -> None:
    """The tests are found where nothing but the test extra is installed, so that each can say why it is skipped."""
    # The packages themselves are not blocked: pytest looks at the modules of every distribution that has a plugin.
    foreign = [*MODULES["torch"], *MODULES["jax"]]
    code = BLOCK.format(blocked=foreign) + (
        "import pytest\n"
        "plugins = ['-p', 'no:cacheprovider', '-p', 'no:parity_tests', '-p', 'parity_tests.entry']\n"
        "sys.exit(pytest.main(['--collect-only', '-q', *plugins, '--pyargs', 'parity_tests']))\n"
    )
    result = run(code)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr
