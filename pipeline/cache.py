"""What a store keeps so as not to make it again: `python -m pipeline.cache`, and `clear=true` to be rid of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.files import find_leftover_files

HELP = """\
What a store keeps so as not to make it again: drawn and decoded pictures, the
features that a frozen backbone made of them, downloaded weights.

  python -m pipeline.cache [clear=true] [store=<folder>]

clear=true     removes all of it; searches make again what they need
store=mlruns   the folder that the searches write to

A search keeps it below cache.max_gb=20: what was not used for longest goes first.
"""
ALLOWED_KEYS = ("clear", "store")
KIND_DESCRIPTIONS = {
    "pictures": "decoded pictures",
    "drawn": "drawn pictures",
    "features": "features of a backbone",
    "weights": "weights of backbones",
    "": "left unfinished",
}


@dataclass(frozen=True)
class CacheEntry:
    """One thing that is kept: the files that belong together, their bytes, and when they were used last."""

    kind: str
    files: tuple[Path, ...]
    size_bytes: int
    last_used: float

    def remove(self) -> None:
        """Its files go; whoever has one open keeps what is in it."""
        for file in self.files:
            file.unlink(missing_ok=True)


def list_entries(cache: Path) -> list[CacheEntry]:
    """All that is kept, in the order in which it was used."""
    stats_by_name: dict[Path, dict[Path, os.stat_result]] = {}
    for file in _iter_files(cache):
        try:
            stat = file.stat()
        except FileNotFoundError:  # another search has made room
            continue
        stats_by_name.setdefault(file.with_suffix("") if file.parent == cache else file, {})[file] = stat
    return sorted(
        (_build_entry(cache, name, states) for name, states in stats_by_name.items()), key=lambda entry: entry.last_used
    )


def _iter_files(cache: Path) -> Iterator[Path]:
    """What is whole, and what killed searches left; not what another one is writing."""
    for file in (*cache.glob("*-*.npy"), *cache.glob("*-*.json"), *cache.glob("weights/*")):
        if not file.name.startswith("."):
            yield file
    yield from (*find_leftover_files(cache), *find_leftover_files(cache / "weights"))


def _build_entry(cache: Path, path: Path, stats: Mapping[Path, os.stat_result]) -> CacheEntry:
    kind = path.name.partition("-")[0] if path.parent == cache else "weights"
    kind = "" if path.name.startswith(".") else kind
    size_bytes = sum(state.st_size for state in stats.values())
    last_used = max(max(state.st_atime, state.st_mtime) for state in stats.values())
    return CacheEntry(KIND_DESCRIPTIONS.get(kind, kind), tuple(stats), size_bytes, last_used)


def evict_least_recently_used(cache: Path, max_gb: float, used_since: float) -> None:
    """Removes what was not used for longest, until the rest takes no more; what was used since a time stays."""
    entries = list_entries(cache)
    total_bytes = sum(entry.size_bytes for entry in entries)
    for entry in entries:
        if total_bytes <= max_gb * 1e9 or entry.last_used >= used_since:
            return
        entry.remove()
        total_bytes -= entry.size_bytes


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.run_command(argv, HELP, _run, "Stopped.")


def _run(argv: Sequence[str]) -> int:
    store, clear = parse_arguments(argv)
    entries = list_entries(store / "cache")
    _print_table(entries, store)
    if clear:
        for entry in entries:
            entry.remove()
        print(f"removed: {_format_size(sum(entry.size_bytes for entry in entries))}")
    return 0


def parse_arguments(argv: Sequence[str]) -> tuple[Path, bool]:
    """The store that is meant, and whether to clear its cache; raises UsageError with every mistake."""
    values, mistakes = arguments.parse_key_values(argv, ALLOWED_KEYS)
    store, clear = Path(values.get("store", "mlruns")), values.get("clear", "false")
    if clear not in ("true", "false"):
        mistakes.append(f"clear: true or false; got {clear or 'nothing'}")
    if not store.is_dir():
        mistakes.append(f"store: a folder that searches wrote to; got {store}")
    if mistakes:
        raise UsageError(*mistakes)
    return store, clear == "true"


def _print_table(entries: Sequence[CacheEntry], store: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("kept in " + str(store / "cache"), "how many", "size", "last used", show_edge=False)
    for kind in dict.fromkeys(entry.kind for entry in entries):
        same_kind = [entry for entry in entries if entry.kind == kind]
        last_used = time.strftime("%Y-%m-%d %H:%M", time.localtime(same_kind[-1].last_used))
        table.add_row(kind, str(len(same_kind)), _format_size(sum(entry.size_bytes for entry in same_kind)), last_used)
    table.add_row("all of it", str(len(entries)), _format_size(sum(entry.size_bytes for entry in entries)), "")
    Console(highlight=False).print(table)


def _format_size(byte_count: int) -> str:
    return f"{byte_count / 1e9:.2f} GB" if byte_count >= 1e8 else f"{byte_count / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
