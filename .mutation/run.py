"""Mutation testing of torchreg and jaxreg: ``python .mutation/run.py [torchreg] [jaxreg] [--only PATTERN]``.

The working copy is a clone of HEAD, never the checkout. Results are added to ``.mutation/PACKAGE.jsonl``; what is there
is not run again. A source whose tests fail as it is ends the run, because its mutants would all seem killed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run each package in a process of its own, for a framework is imported once and never undone."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("packages", nargs="*", default=["torchreg", "jaxreg"])
    options.add_argument("--only", default="*", help="sources below the package whose path fits")
    options.add_argument("--again", action="store_true", help="run what has survived before once more, on HEAD")
    options.add_argument("--results", type=Path, default=HERE, help="the directory of the results")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        from session import Session

        Session(Path.cwd(), given.packages[0], given.only, given.again, given.results).run()
        return
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        clone = Path(place) / "clone"
        subprocess.run(["git", "clone", "--quiet", HERE.parent, clone], check=True)
        environment = os.environ | {
            "PYTHONPATH": str(clone),
            "OMP_NUM_THREADS": "1",
            "JAX_PLATFORMS": "cpu",
            "TWINREG_REQUIRE": "",
            "PYTHONHASHSEED": "0",
            # What a mutation leaves as it was need not be compiled again; the key is the program itself.
            "JAX_COMPILATION_CACHE_DIR": f"{place}/compiled",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        rest = ["--only", given.only, "--results", str(given.results.resolve()), *["--again"] * given.again, "--child"]
        for package in given.packages:
            subprocess.run([sys.executable, __file__, package, *rest], cwd=clone, env=environment, check=True)


if __name__ == "__main__":
    main()
