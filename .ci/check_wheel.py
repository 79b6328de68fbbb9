"""Check what a wheel of twinreg holds: the three packages, all of their files, and nothing else.

Usage: check_wheel.py WHEEL CHECKOUT
"""

import email
import sys
import zipfile
from pathlib import Path

PACKAGES = ("jaxreg", "parity_tests", "torchreg")
EXTRAS = {"all", "bench", "docs", "examples", "jax", "recipes", "test", "torch", "yaml"}


def files_of(checkout: Path) -> set[str]:
    """The files of the packages in a checkout, byte code left out."""
    paths = (path for package in PACKAGES for path in (checkout / package).rglob("*") if path.is_file())
    return {path.relative_to(checkout).as_posix() for path in paths if "__pycache__" not in path.parts}


def faults(wheel: Path, checkout: Path) -> list[str]:
    """What is wrong with the wheel, one sentence each."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata_name = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(metadata_name))
        expected = files_of(checkout)
        altered = sorted(name for name in expected & names if archive.read(name) != (checkout / name).read_bytes())
    dist_info = metadata_name.split("/")[0]
    shipped = {name for name in names if not name.startswith(f"{dist_info}/")}
    result = [f"{name} in the wheel must be the bytes of the checkout; got others." for name in altered]
    result += [f"{name} is in the checkout but not in the wheel." for name in sorted(expected - shipped)]
    result += [f"{name} is in the wheel but not in the checkout." for name in sorted(shipped - expected)]
    result += [
        f"{name} is missing."
        for name in ("torchreg/py.typed", "jaxreg/py.typed", f"{dist_info}/licenses/LICENSE")
        if name not in names
    ]
    extras = set(metadata.get_all("Provides-Extra", []))
    if extras != EXTRAS:
        result.append(f"extras must be {sorted(EXTRAS)}; got {sorted(extras)}.")
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    if required:
        result.append(f"requirements outside the extras must be none; got {required}.")
    return result


if __name__ == "__main__":
    wheel, checkout = map(Path, sys.argv[1:])
    found = faults(wheel, checkout)
    print("\n".join(found) or f"{wheel.name}: {', '.join(PACKAGES)}, complete")
    sys.exit(bool(found))
