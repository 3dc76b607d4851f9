"""Training of trials, fold by fold and resumable."""
