"""Command that writes to MLflow what it lacks of the studies in a store: its options and its run."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.runtime.arguments import CommandOptions, option, read_bool
from pipeline.runtime.errors import first_line
from pipeline.runtime.progress_bars import spinner
from pipeline.runtime.suggestions import did_you_mean

MAX_LISTED_STUDIES = 3  # names of studies in a message


@dataclass(frozen=True)
class SyncOptions(CommandOptions):
    """Options of `python -m pipeline.sync`; without `study`, all studies of the store."""

    study: str | None = field(metadata=option(None, str))
    rebuild: bool = field(metadata=option("false", read_bool))
    store: Path = field(metadata=option("mlruns", Path))

    def find_mistakes(self) -> list[str]:
        """Return a line if the store has no study, or not the one that was named."""
        names = [folder.name for folder in _find_studies(self.store)]
        if not names:
            return [f"store: no search has run there yet; got {self.store}"]
        if self.study is None or self.study in names:
            return []
        newest = ", ".join(reversed(names[-MAX_LISTED_STUDIES:]))
        more = f" and {len(names) - MAX_LISTED_STUDIES} more" if len(names) > MAX_LISTED_STUDIES else ""
        hint = did_you_mean(self.study, names, MAX_LISTED_STUDIES, 0.4)
        return [f"study: one of {newest}{more}; got {self.study or 'nothing'}{hint}"]


def _find_studies(store: Path) -> list[Path]:
    """Return the folders of all studies, in the order in which they ended."""
    return sorted((file.parent for file in (store / "studies").glob("*/study.json")), key=_get_end_time)


def _get_end_time(folder: Path) -> float:
    file = folder / "summary.json"
    return (file if file.is_file() else folder / "study.json").stat().st_mtime


def sync_studies(options: SyncOptions) -> int:
    """Write what MLflow lacks of each study, and return the exit code: 1 if a study could not be written."""
    # The newest last, so that it becomes the champion.
    folders = [folder for folder in _find_studies(options.store) if options.study in (None, folder.name)]
    count = "1 study" if len(folders) == 1 else f"{len(folders)} studies"
    print(f"Starting MLflow, which takes some seconds, to write {count} ...", file=sys.stderr, flush=True)
    is_complete = [_sync_study(folder, rebuild=options.rebuild) for folder in folders]
    return 0 if all(is_complete) else 1


def _sync_study(folder: Path, *, rebuild: bool) -> bool:
    """Write what MLflow lacks of a study; return whether MLflow has all of it now."""
    try:
        with spinner(f"{folder.name}: writing to MLflow"), FileLock(folder / ".tracking.lock", timeout=0):
            from pipeline.tracking.study_sync import StudySync

            study_sync = StudySync(folder, rebuild=rebuild)
            study_sync.log_configuration()
            written_count = study_sync.log_new_trials()
            registration_message = study_sync.finalize()
    except Timeout:
        print(f"{folder.name}: a running search is writing it to MLflow")
        return True
    except Exception as error:  # noqa: BLE001 -- MLflow, its server and its database raise errors of many types
        print(f"{folder.name}: cannot be written to MLflow now: {first_line(error)}", file=sys.stderr)
        return False
    status = f"{written_count} of them written now" if written_count else "up to date"
    print(f"{folder.name}: MLflow has {len(study_sync.logged_trials)} trials, {status}")
    if registration_message:
        print(registration_message)
    return True
