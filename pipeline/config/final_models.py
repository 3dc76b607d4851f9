"""The kinds of final model that `champion=` names, and how many networks each holds."""

from collections.abc import Mapping
from typing import Literal

MAX_ENSEMBLE_MEMBERS = 8  # trials, with replacement
MAX_NETWORKS = 1_000  # of a model file
FinalModelKind = Literal["refit", "fold_average", "ensemble"]
FINAL_MODEL_MEMBERS: Mapping[str, int] = {  # the largest number of trials, each with the networks of all its folds
    "refit": 0,
    "fold_average": 1,
    "ensemble": MAX_ENSEMBLE_MEMBERS,
}
