"""Writes what MLflow lacks of finished trials and studies: `python -m pipeline.sync study=cat_species-1a2b3c4d`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.progress_bars import waiting

HELP = """\
Writes what MLflow lacks of the studies in a store: trials, scores, models.

  python -m pipeline.sync [study=<name>] [rebuild=true] [store=<folder>]

study          one study; without it all of the store, in the order in which they ended
rebuild=true   every trial is written anew, also those that MLflow has
store=mlruns   the folder that the searches wrote to

A search does this by itself; this is for a server that was away at its end, and
for a mlflow.db that was lost.
"""
KEYS = ("study", "rebuild", "store")
INCOMPLETE = 1
MOST = 3  # names of studies that are said


def main(given: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.command(given, HELP, _run, "stopped; the same command goes on")


def _run(given: Sequence[str]) -> int:
    folders, rebuild = read(given)
    studies = "1 study" if len(folders) == 1 else f"{len(folders)} studies"
    print(
        f"MLflow is starting, which takes some seconds; then it is told of {studies} ...", file=sys.stderr, flush=True
    )
    done = [_sync(folder, rebuild=rebuild) for folder in folders]
    return 0 if all(done) else INCOMPLETE


def read(given: Sequence[str]) -> tuple[list[Path], bool]:
    """The folders of the studies that are meant, and whether to write everything anew.

    Those that ended first come first: so the newest of them becomes the champion. Raises UsageError with every mistake.
    """
    typed, mistakes = arguments.read(given, KEYS)
    store, name, rebuild = Path(typed.get("store", "mlruns")), typed.get("study"), typed.get("rebuild", "false")
    if rebuild not in ("true", "false"):
        mistakes.append(f"rebuild: true or false; got {rebuild or 'nothing'}")
    found = {file.parent.name: file.parent for file in (store / "studies").glob("*/study.json")}
    if not found:
        mistakes.append(f"store: nothing has been searched there yet; got {store}")
    elif name is not None and name not in found:
        near = get_close_matches(name, found, MOST, cutoff=0.4)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        mistakes.append(f"study: one of {_some(found.values())}; got {name or 'nothing'}{hint}")
    if mistakes:
        raise UsageError(*mistakes)
    return sorted(found.values(), key=_ended) if name is None else [found[name]], rebuild == "true"


def _some(folders: Collection[Path]) -> str:
    """The names of studies, of many those that ended last."""
    newest = sorted(folders, key=_ended, reverse=True)[:MOST]
    more = f" and {len(folders) - MOST} more" if len(folders) > MOST else ""
    return ", ".join(folder.name for folder in newest) + more


def _ended(folder: Path) -> float:
    file = folder / "summary.json"
    return (file if file.is_file() else folder / "study.json").stat().st_mtime


def _sync(folder: Path, *, rebuild: bool) -> bool:
    """One study; whether MLflow has all of it now."""
    try:
        with waiting(f"{folder.name}: MLflow is told"), FileLock(folder / ".tracking.lock", timeout=0):
            from pipeline.tracking.sync import View

            view = View(folder, rebuild=rebuild)
            view.configure()
            written = view.catch_up()
            registered = view.conclude()
    except Timeout:
        print(f"{folder.name}: a search is writing it at this moment; it needs nothing more")
        return True
    except Exception as error:  # noqa: BLE001 -- a broken server has many faces
        first = (str(error) or type(error).__name__).splitlines()[0]
        print(f"{folder.name}: cannot be written to MLflow now, and is kept: {first}", file=sys.stderr)
        return False
    now = f"{written} of them written now" if written else "up to date"
    print(f"{folder.name}: MLflow has {len(view.numbers)} trials, {now}")
    if registered:
        print(registered)
    return True


if __name__ == "__main__":
    sys.exit(main())
