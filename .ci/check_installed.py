"""Check an installed twinreg: where it lies, what its packages import, and what they say of a missing framework.

Usage: check_installed.py FRAMEWORK..., the frameworks (torch, jax) that the environment is meant to hold.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

PACKAGES = {"torch": "torchreg", "jax": "jaxreg"}


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh interpreter that does not look into the current directory."""
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)


def faults(present: set[str]) -> list[str]:
    """What is wrong with the installation, one sentence each."""
    result = []
    for framework, package in PACKAGES.items():
        other = next(name for name in PACKAGES if name != framework)
        if (importlib.util.find_spec(framework) is not None) != (framework in present):
            state = "installed" if framework in present else "absent"
            result.append(f"{framework} must be {state}.")
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            result.append(f"{package} must be installed.")
        elif not Path(spec.origin).is_relative_to(sys.prefix):
            result.append(f"{package} must lie in {sys.prefix}; got {spec.origin}.")
        elif framework in present:
            done = run(f"import {package}, sys; sys.exit({other!r} in sys.modules)")
            if done.returncode:
                result.append(f"import {package} must succeed and leave {other} alone; got:\n{done.stderr}")
        else:
            done = run(
                f"try:\n    import {package}\nexcept ImportError as error:\n    print(error)\n"
                f"else:\n    raise SystemExit('imported without {framework}')"
            )
            if done.returncode or f"twinreg[{framework}]" not in done.stdout:
                result.append(
                    f"import {package} must be an ImportError that names twinreg[{framework}]; "
                    f"got:\n{done.stdout}{done.stderr}"
                )
    return result


if __name__ == "__main__":
    found = faults(set(sys.argv[1:]))
    print("\n".join(found) or f"imports as they should be with {' and '.join(sys.argv[1:])} installed")
    sys.exit(bool(found))
