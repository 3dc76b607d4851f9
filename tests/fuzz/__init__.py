"""Fuzzing, beside the tests: `make fuzz`."""
