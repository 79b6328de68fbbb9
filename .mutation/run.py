"""Mutation testing of torchreg and jaxreg: ``python .mutation/run.py``, after ``pip install cosmic-ray``.

Two rounds for each package: every mutant meets the tests that should kill it, and what survives meets more. Then the
score, and what has survived without a reason in ``survivors.toml``; the exit code is 1 if anything has.

The working copy is a clone of HEAD, never the checkout. Results go into ``PACKAGE.jsonl`` as they come; the first
round leaves out what is there. A source whose tests fail as it is has no mutant judged, because all would seem killed;
the run fails at its end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from report import read, report

HERE = Path(__file__).resolve().parent
ROUNDS = ("quick", "wide")


def main() -> int:
    """Run each package in a process of its own, for a framework that is imported stays."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("packages", nargs="*", default=["torchreg", "jaxreg"])
    options.add_argument("--only", nargs="+", default=["*"], help="sources whose path below the package fits a pattern")
    options.add_argument("--share", type=float, default=1.0, help="of the shares in config.toml, for a shorter run")
    options.add_argument("--rounds", nargs="*", choices=ROUNDS, default=ROUNDS, help="which; none: the report alone")
    options.add_argument("--results", type=Path, default=HERE, help="the directory of the results")
    options.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in the clone, for one round
    given = options.parse_args()
    if given.here:
        from session import Session

        Session(Path.cwd(), given.packages[0], given.only, given.share, given.rounds == ["wide"], given.results).run()
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        clone = Path(place) / "clone"
        subprocess.run(["git", "clone", "--quiet", HERE.parent, clone], check=True)
        rest = [
            "--only",
            *given.only,
            "--share",
            str(given.share),
            "--results",
            str(given.results.resolve()),
            "--here",
            "--rounds",
        ]
        for package in given.packages:
            for name in given.rounds:
                command = [sys.executable, __file__, package, *rest, name]
                subprocess.run(command, cwd=clone, env=environment(Path(place)), check=True)
    return bool(
        report(given.packages, {package: read(given.results / f"{package}.jsonl") for package in given.packages})
    )


def environment(place: Path) -> dict[str, str]:
    """What the tests run in: the clone before any installed package, one thread, and compiled programs kept."""
    return os.environ | {
        "PYTHONPATH": str(place / "clone"),
        "OMP_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "TWINREG_REQUIRE": "",
        # What a mutation leaves as it was need not be compiled again; the key is the program itself.
        "JAX_COMPILATION_CACHE_DIR": str(place / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


if __name__ == "__main__":
    sys.exit(main())
