"""The proof that torchreg and jaxreg are the same regularization.

Every result is compared with one independent float64 oracle in NumPy (``oracles/``), under a bound that is derived
(``bounds.py``), never chosen. What is compared is a table (``cases.py``); a run that compares less than the table
declares is a failed run.

Run it from a checkout or from the installed wheel::

    pytest --pyargs parity_tests                          the tier for a pull request
    pytest --pyargs parity_tests --tier full              every cell and 10,000 examples per law
    pytest --pyargs parity_tests --parity-ledger=cells.csv
    TWINREG_REQUIRE=torch,jax pytest --pyargs parity_tests     an absent backend is an error instead of a skip

The suite needs what the extra ``test`` brings, and whichever of the two backends is to be tested; what needs the other
one is skipped with its reason, and the skips are counted at the end of the run.
"""
