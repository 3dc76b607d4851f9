"""Show or clear the cache of a store: `python -m pipeline.cache`, `python -m pipeline.cache clear=true`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data import cache
from pipeline.runtime.arguments import CommandOptions, option, read_bool, read_options, run_command

HELP = """\
Shows the cache of a store: decoded and synthetic images, features of frozen
backbones, downloaded weights.

  python -m pipeline.cache [clear=true] [store=<folder>]

clear=true     deletes all of it; searches compute it again when they need it
store=mlruns   the folder that the searches write to

A search keeps it below cache.max_gb=20, and evicts least recently used entries.
"""


def _read_store(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError("a folder that searches wrote to")
    return Path(text)


@dataclass(frozen=True)
class CacheOptions(CommandOptions):
    """Options of the command."""

    clear: bool = field(metadata=option("false", read_bool))
    store: Path = field(metadata=option("mlruns", _read_store))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(argv, HELP, _run, "Stopped.")


def _run(argv: Sequence[str]) -> int:
    options = read_options(CacheOptions, argv)
    entries = cache.list_entries(options.store / "cache")
    cache.print_table(entries, options.store)
    if options.clear:
        for entry in entries:
            entry.remove()
        print(f"removed: {cache.format_size(sum(entry.size_bytes for entry in entries))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
