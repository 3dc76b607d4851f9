"""Cache of a store: decoded and synthetic images, features of backbones, downloaded weights."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.runtime.files import find_leftover_files

KIND_DESCRIPTIONS = {
    "pictures": "decoded images",
    "drawn": "synthetic images",
    "features": "features of a backbone",
    "weights": "weights of backbones",
    "": "unfinished files",
}


@dataclass(frozen=True)
class CacheEntry:
    """Entry of the cache: files that belong together, their size, and the time of the last use."""

    kind: str
    files: tuple[Path, ...]
    size_bytes: int
    last_used: float

    def remove(self) -> None:
        """Delete the files; a process that has one open can still read it."""
        for file in self.files:
            file.unlink(missing_ok=True)


def list_entries(cache: Path) -> list[CacheEntry]:
    """Return the entries of a cache folder, the least recently used first."""
    files = (*cache.glob("*-*.npy"), *cache.glob("*-*.json"), *cache.glob("weights/*"))
    finished = [file for file in files if not file.name.startswith(".")]  # another process may be writing the others
    stats_by_path: dict[Path, dict[Path, os.stat_result]] = {}
    for file in (*finished, *find_leftover_files(cache), *find_leftover_files(cache / "weights")):
        with suppress(FileNotFoundError):  # another search has deleted it
            stats_by_path.setdefault(file.with_suffix("") if file.parent == cache else file, {})[file] = file.stat()
    entries = [_build_entry(cache, path, stats) for path, stats in stats_by_path.items()]
    return sorted(entries, key=lambda entry: entry.last_used)


def _build_entry(cache: Path, path: Path, stats: Mapping[Path, os.stat_result]) -> CacheEntry:
    prefix = path.name.partition("-")[0] if path.parent == cache else "weights"
    kind = "" if path.name.startswith(".") else prefix
    size_bytes = sum(stat.st_size for stat in stats.values())
    last_used = max(max(stat.st_atime, stat.st_mtime) for stat in stats.values())
    return CacheEntry(KIND_DESCRIPTIONS.get(kind, kind), tuple(stats), size_bytes, last_used)


def evict_least_recently_used(cache: Path, max_gb: float, used_since: float) -> None:
    """Delete least recently used entries until the rest takes at most `max_gb`; keep those used since `used_since`."""
    entries = list_entries(cache)
    total_bytes = sum(entry.size_bytes for entry in entries)
    for entry in entries:
        if total_bytes <= max_gb * 1e9 or entry.last_used >= used_since:
            return
        entry.remove()
        total_bytes -= entry.size_bytes


def print_table(entries: Sequence[CacheEntry], store: Path) -> None:
    """Print the entries by kind, with their number, size and last use."""
    from rich.console import Console
    from rich.table import Table

    table = Table("cache " + str(store / "cache"), "entries", "size", "last used", show_edge=False)
    for kind in dict.fromkeys(entry.kind for entry in entries):
        same_kind = [entry for entry in entries if entry.kind == kind]
        last_used = time.strftime("%Y-%m-%d %H:%M", time.localtime(same_kind[-1].last_used))
        table.add_row(kind, str(len(same_kind)), format_size(sum(entry.size_bytes for entry in same_kind)), last_used)
    table.add_row("total", str(len(entries)), format_size(sum(entry.size_bytes for entry in entries)), "")
    Console(highlight=False).print(table)


def format_size(byte_count: int) -> str:
    """Return a size in MB, or in GB from 0.1 GB."""
    return f"{byte_count / 1e9:.2f} GB" if byte_count >= 1e8 else f"{byte_count / 1e6:.1f} MB"
