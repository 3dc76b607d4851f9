"""A key that is not there, in one line: which may have been meant, or what its group holds."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.runtime.suggestions import find_similar

MAX_SUGGESTIONS = 3  # keys that may have been meant
TOO_SHORT_CHARS = 2  # letters, with which too many begin
MIN_SIMILARITY = 0.7  # `nodse` is to `nodes`, and `batch` is not to `cache`


def describe_unknown_key(group: str, name: str, known: Sequence[str], elsewhere: Sequence[str]) -> str:
    """The line.

    group: where it was looked for, "" at the top; known: what that holds; elsewhere: whole keys of other groups.
    """
    key, full_keys = (f"{group}.{name}", [f"{group}.{each}" for each in known]) if group else (name, list(known))
    if similar := _find_similar_keys(name, full_keys) or _find_similar_keys(name, elsewhere):
        *first, last = similar
        return f"{key}: no such key (did you mean {', '.join(first) + ' or ' if first else ''}{last}?)"
    return f"{key}: no such key; {group or 'the configuration'} has {', '.join(known)}"


def describe_key_of_other_datasets(name: str, dataset_kinds: Sequence[str]) -> str:
    """The line about a key that other kinds of data set have, where there are some."""
    return (
        f"dataset.{name}: is for dataset={', '.join(dataset_kinds)}; say which, dataset={dataset_kinds[0]}"
        if dataset_kinds
        else ""
    )


def _find_similar_keys(name: str, full_keys: Sequence[str]) -> list[str]:
    """Of whole keys, the one whose last word is the name; else those where it begins so, or else is like it."""
    key_by_name: dict[str, str] = {}
    for key in full_keys:
        key_by_name.setdefault(key.rpartition(".")[2], key)
    if name in key_by_name:
        return [key_by_name[name]]
    prefix_matches = [end for end in key_by_name if len(name) > TOO_SHORT_CHARS and end.startswith(name)]
    return [
        key_by_name[end]
        for end in (prefix_matches or find_similar(name, key_by_name, MAX_SUGGESTIONS, MIN_SIMILARITY))[
            :MAX_SUGGESTIONS
        ]
    ]
