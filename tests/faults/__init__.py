"""Faults, injected for real into the real command: `make faults` prints what came of each beside what must."""
