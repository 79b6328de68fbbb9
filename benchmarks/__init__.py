"""What a penalty costs, measured beside what people write by hand: ``python -m benchmarks``, from a checkout."""
