"""Compare the quality of predictions with other methods on public tables: `python -m bench.quality`."""
