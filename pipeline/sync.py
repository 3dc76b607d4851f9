"""Write to MLflow what it lacks of trials and studies: `python -m pipeline.sync study=cat_species-1a2b3c4d`."""

import sys
from collections.abc import Sequence

from pipeline.runtime.arguments import RESUME_MESSAGE, read_options, run_command
from pipeline.tracking.sync_command import SyncOptions, sync_studies

HELP = """\
Writes what MLflow lacks of the studies in a store: trials, scores, models.

  python -m pipeline.sync [study=<name>] [rebuild=true] [store=<folder>]

study          one study; without it, all of the store in the order they ended
rebuild=true   writes every trial again, also those that MLflow has
store=mlruns   the folder that the searches wrote to

A search does this by itself. The command is for a server that was unavailable
at its end, and for a lost mlflow.db.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 if a study could not be written."""
    return run_command(argv, HELP, lambda args: sync_studies(read_options(SyncOptions, args)), RESUME_MESSAGE)


if __name__ == "__main__":
    sys.exit(main())
