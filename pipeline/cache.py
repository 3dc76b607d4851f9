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
from pipeline.runtime.files import abandoned

HELP = """\
What a store keeps so as not to make it again: drawn and decoded pictures, the
features that a frozen backbone made of them, downloaded weights.

  python -m pipeline.cache [clear=true] [store=<folder>]

clear=true     removes all of it; searches make again what they need
store=mlruns   the folder that the searches write to

A search keeps it below cache.max_gb=20: what was not used for longest goes first.
"""
KEYS = ("clear", "store")
KINDS = {
    "pictures": "decoded pictures",
    "drawn": "drawn pictures",
    "features": "features of a backbone",
    "weights": "weights of backbones",
    "": "left unfinished",
}


@dataclass(frozen=True)
class Entry:
    """One thing that is kept: the files that belong together, their bytes, and when they were used last."""

    kind: str
    files: tuple[Path, ...]
    size: int
    used: float

    def remove(self) -> None:
        """Its files go; whoever has one open keeps what is in it."""
        for file in self.files:
            file.unlink(missing_ok=True)


def entries(cache: Path) -> list[Entry]:
    """All that is kept, in the order in which it was used."""
    found: dict[Path, dict[Path, os.stat_result]] = {}
    for file in _files(cache):
        try:
            state = file.stat()
        except FileNotFoundError:  # another search has made room
            continue
        found.setdefault(file.with_suffix("") if file.parent == cache else file, {})[file] = state
    return sorted((_entry(cache, name, states) for name, states in found.items()), key=lambda entry: entry.used)


def _files(cache: Path) -> Iterator[Path]:
    """What is whole, and what killed searches left; not what another one is writing."""
    for file in (*cache.glob("*-*.npy"), *cache.glob("*-*.json"), *cache.glob("weights/*")):
        if not file.name.startswith("."):
            yield file
    yield from (*abandoned(cache), *abandoned(cache / "weights"))


def _entry(cache: Path, name: Path, states: Mapping[Path, os.stat_result]) -> Entry:
    kind = name.name.partition("-")[0] if name.parent == cache else "weights"
    kind = "" if name.name.startswith(".") else kind
    size = sum(state.st_size for state in states.values())
    used = max(max(state.st_atime, state.st_mtime) for state in states.values())
    return Entry(KINDS.get(kind, kind), tuple(states), size, used)


def make_room(cache: Path, max_gb: float, since: float) -> None:
    """Removes what was not used for longest, until the rest takes no more; what was used since a time stays."""
    kept = entries(cache)
    total = sum(entry.size for entry in kept)
    for entry in kept:
        if total <= max_gb * 1e9 or entry.used >= since:
            return
        entry.remove()
        total -= entry.size


def main(given: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.command(given, HELP, _run, "stopped")


def _run(given: Sequence[str]) -> int:
    store, clear = read(given)
    kept = entries(store / "cache")
    _show(kept, store)
    if clear:
        for entry in kept:
            entry.remove()
        print(f"removed: {_size(sum(entry.size for entry in kept))}")
    return 0


def read(given: Sequence[str]) -> tuple[Path, bool]:
    """The store that is meant, and whether to clear its cache; raises UsageError with every mistake."""
    typed, mistakes = arguments.read(given, KEYS)
    store, clear = Path(typed.get("store", "mlruns")), typed.get("clear", "false")
    if clear not in ("true", "false"):
        mistakes.append(f"clear: true or false; got {clear or 'nothing'}")
    if not store.is_dir():
        mistakes.append(f"store: a folder that searches wrote to; got {store}")
    if mistakes:
        raise UsageError(*mistakes)
    return store, clear == "true"


def _show(kept: Sequence[Entry], store: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("kept in " + str(store / "cache"), "how many", "size", "last used", show_edge=False)
    for kind in dict.fromkeys(entry.kind for entry in kept):
        alike = [entry for entry in kept if entry.kind == kind]
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(alike[-1].used))
        table.add_row(kind, str(len(alike)), _size(sum(entry.size for entry in alike)), used)
    table.add_row("all of it", str(len(kept)), _size(sum(entry.size for entry in kept)), "")
    Console(highlight=False).print(table)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
