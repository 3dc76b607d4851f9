"""Describe a key that does not exist: the keys that may have been meant, or those of its group."""

from collections.abc import Sequence

from pipeline.config.sections import find_datasets_with_key, list_all_keys
from pipeline.runtime.suggestions import find_similar

MAX_SUGGESTIONS = 3
MIN_PREFIX_CHARS = 3  # too many keys begin with two letters
MIN_SIMILARITY = 0.7  # `nodse` is as similar to `nodes`, `batch` is not to `cache`


def describe_unknown_key(group: str, name: str, known: Sequence[str]) -> str:
    """Return the message for a key that its group ("" at the top) does not have; known: the names in the group."""
    if group == "dataset" and (kinds := find_datasets_with_key(name)):
        return f"dataset.{name}: is for dataset={', '.join(kinds)}; say which, dataset={kinds[0]}"
    elsewhere = [] if group else list_all_keys()
    key = f"{group}.{name}" if group else name
    full_keys = [f"{group}.{each}" for each in known] if group else known
    if similar := _find_similar_keys(name, full_keys) or _find_similar_keys(name, elsewhere):
        *first, last = similar
        return f"{key}: no such key (did you mean {', '.join(first) + ' or ' if first else ''}{last}?)"
    return f"{key}: no such key; {group or 'the configuration'} has {', '.join(known)}"


def _find_similar_keys(name: str, full_keys: Sequence[str]) -> list[str]:
    """Return the key that ends with the name; if there is none, keys with that prefix; otherwise similar ones."""
    key_by_name: dict[str, str] = {}
    for key in full_keys:
        key_by_name.setdefault(key.rpartition(".")[2], key)
    if name in key_by_name:
        return [key_by_name[name]]
    matches = [end for end in key_by_name if len(name) >= MIN_PREFIX_CHARS and end.startswith(name)]
    matches = matches or find_similar(name, key_by_name, MAX_SUGGESTIONS, MIN_SIMILARITY)
    return [key_by_name[end] for end in matches[:MAX_SUGGESTIONS]]
