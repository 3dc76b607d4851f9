"""Problem of a search, its trials (proposed, pruned, stored) and its summary: the only package that uses Optuna."""
