"""Suggestions for misspelt names."""

from collections.abc import Iterable

MIN_SIMILARITY = 0.6  # of difflib, from 0 to 1: `nodse` is 0.8 to `nodes`, `batch` 0.4 to `cache`


def find_similar(name: str, known: Iterable[str], max_count: int = 1, cutoff: float = MIN_SIMILARITY) -> list[str]:
    """Return the known names that are most similar to `name`, the nearest first; at most `max_count`."""
    from difflib import get_close_matches

    return get_close_matches(name, list(known), max_count, cutoff)


def did_you_mean(name: str, known: Iterable[str], max_count: int = 1, cutoff: float = MIN_SIMILARITY) -> str:
    """Return ` (did you mean x?)` with the most similar known names, or "" if none is similar enough."""
    similar = find_similar(name, known, max_count, cutoff)
    return f" (did you mean {' or '.join(similar)}?)" if similar else ""
