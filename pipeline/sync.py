"""Writes what MLflow lacks of finished trials and studies: `python -m pipeline.sync study=cat_species-1a2b3c4d`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.errors import first_line
from pipeline.runtime.progress_bars import spinner
from pipeline.runtime.suggestions import did_you_mean

HELP = """\
Writes what MLflow lacks of the studies in a store: trials, scores, models.

  python -m pipeline.sync [study=<name>] [rebuild=true] [store=<folder>]

study          one study; without it all of the store, in the order in which they ended
rebuild=true   every trial is written anew, also those that MLflow has
store=mlruns   the folder that the searches wrote to

A search does this by itself; this is for a server that was away at its end, and
for a mlflow.db that was lost.
"""
ALLOWED_KEYS = ("study", "rebuild", "store")
EXIT_INCOMPLETE = 1
MAX_LISTED_STUDIES = 3  # names of studies that are said


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.run_command(argv, HELP, _run, arguments.RESUME_MESSAGE)


def _run(argv: Sequence[str]) -> int:
    folders, rebuild = parse_arguments(argv)
    study_count = "1 study" if len(folders) == 1 else f"{len(folders)} studies"
    print(
        f"MLflow is starting, which takes some seconds; then it is told of {study_count} ...",
        file=sys.stderr,
        flush=True,
    )
    is_complete = [_sync_study(folder, rebuild=rebuild) for folder in folders]
    return 0 if all(is_complete) else EXIT_INCOMPLETE


def parse_arguments(argv: Sequence[str]) -> tuple[list[Path], bool]:
    """The folders of the studies that are meant, and whether to write everything anew.

    Those that ended first come first: so the newest of them becomes the champion. Raises UsageError with every mistake.
    """
    values, mistakes = arguments.parse_key_values(argv, ALLOWED_KEYS)
    store, name, rebuild = Path(values.get("store", "mlruns")), values.get("study"), values.get("rebuild", "false")
    if rebuild not in ("true", "false"):
        mistakes.append(f"rebuild: true or false; got {rebuild or 'nothing'}")
    folder_by_name = {file.parent.name: file.parent for file in (store / "studies").glob("*/study.json")}
    if not folder_by_name:
        mistakes.append(f"store: nothing has been searched there yet; got {store}")
    elif name is not None and name not in folder_by_name:
        hint = did_you_mean(name, folder_by_name, MAX_LISTED_STUDIES, 0.4)
        mistakes.append(f"study: one of {_list_newest(folder_by_name.values())}; got {name or 'nothing'}{hint}")
    if mistakes:
        raise UsageError(*mistakes)
    return sorted(folder_by_name.values(), key=_end_time) if name is None else [folder_by_name[name]], rebuild == "true"


def _list_newest(folders: Collection[Path]) -> str:
    """The names of studies, of many those that ended last."""
    newest = sorted(folders, key=_end_time, reverse=True)[:MAX_LISTED_STUDIES]
    more = f" and {len(folders) - MAX_LISTED_STUDIES} more" if len(folders) > MAX_LISTED_STUDIES else ""
    return ", ".join(folder.name for folder in newest) + more


def _end_time(folder: Path) -> float:
    file = folder / "summary.json"
    return (file if file.is_file() else folder / "study.json").stat().st_mtime


def _sync_study(folder: Path, *, rebuild: bool) -> bool:
    """One study; whether MLflow has all of it now."""
    try:
        with spinner(f"{folder.name}: MLflow is told"), FileLock(folder / ".tracking.lock", timeout=0):
            from pipeline.tracking.sync import StudySync

            study_sync = StudySync(folder, rebuild=rebuild)
            study_sync.log_configuration()
            written_count = study_sync.log_new_trials()
            registration_message = study_sync.finalize()
    except Timeout:
        print(f"{folder.name}: a search is writing it at this moment; it needs nothing more")
        return True
    except Exception as error:  # noqa: BLE001 -- a broken server has many faces
        print(f"{folder.name}: cannot be written to MLflow now, and is kept: {first_line(error)}", file=sys.stderr)
        return False
    status = f"{written_count} of them written now" if written_count else "up to date"
    print(f"{folder.name}: MLflow has {len(study_sync.logged_trials)} trials, {status}")
    if registration_message:
        print(registration_message)
    return True


if __name__ == "__main__":
    sys.exit(main())
