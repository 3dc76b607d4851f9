"""Inject real faults into the real command: `make faults` prints the result of each beside its target."""
