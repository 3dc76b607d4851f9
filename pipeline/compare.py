"""Compare finished searches, score against size: `python -m pipeline.compare tasks=[cat_species,day_night]`."""

import sys
from collections.abc import Sequence

from pipeline.report.compare_command import CompareOptions, compare_studies
from pipeline.runtime.arguments import read_options, run_command

HELP = """\
Does a harder task need more layers and nodes? Compares finished searches:
score against size, and the smallest network as good as the best.

  python -m pipeline.compare tasks=[<task>,<task>,...] [key=value ...]

tasks          the newest finished search of each task
studies        searches by name, such as studies=[cat_species-1a2b3c4d]
output         compare.html or compare.png; without it, both in the store
store=mlruns   the folder that the searches wrote to

Skill score: 0 % for the constant baseline, 100 % for perfect predictions.
As good: within one standard error of the best.

examples
  python -m pipeline.compare tasks=[cat_species,day_night]
  python -m pipeline.compare tasks=[cat_age_years,cat_age_bands] output=ages.png
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(argv, HELP, _run)


def _run(argv: Sequence[str]) -> int:
    compare_studies(read_options(CompareOptions, argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
