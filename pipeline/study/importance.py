"""Hyperparameter importances by PED-ANOVA, with the level that chance reaches."""

import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

TOP_QUANTILE = 0.1
MIN_TRIALS_IN_QUANTILE = 5  # Optuna advises five trials in the good quantile
MIN_COMPLETE_TRIALS = 15  # with fewer, the five best are more than a third of all
N_PERMUTATIONS = 19  # by chance a share exceeds the largest of 19 permuted ones in 1 case of 20


@dataclass(frozen=True)
class Importance:
    """Share of a hyperparameter in the sum of importances, with two levels that chance exceeds in 1 case of 20.

    chance_level: for this hyperparameter; max_chance_level: for any of the searched ones.
    """

    hyperparameter: str
    share: float
    chance_level: float
    max_chance_level: float


def compute_importances(trials: Sequence[FrozenTrial], *, maximize: bool, seed: int = 0) -> list[Importance]:
    """Return the importances, largest first; empty with fewer than 15 complete trials or 2 hyperparameters.

    PED-ANOVA (Watanabe, Bansal, Hutter 2023, https://arxiv.org/abs/2304.10255). Chance level: the largest share among
    N_PERMUTATIONS permutations of the scores over the trials (Barnard 1963, J. R. Stat. Soc. B 25, 294).
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) < MIN_COMPLETE_TRIALS or len({key for trial in complete for key in trial.params}) < 2:
        return []
    rng = np.random.default_rng(seed)
    values = np.array([trial.value for trial in complete], dtype=float)
    shares = _importance_shares(complete, maximize)
    permuted_shares = []
    for _ in range(N_PERMUTATIONS):
        permuted = [copy(trial) for trial in complete]
        for trial, value in zip(permuted, rng.permutation(values), strict=True):
            trial.values = [float(value)]
        permuted_shares.append(_importance_shares(permuted, maximize))
    max_permuted_share = max(max(each.values()) for each in permuted_shares)
    return [
        Importance(key, share, max(each[key] for each in permuted_shares), max_permuted_share)
        for key, share in sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _importance_shares(trials: Sequence[FrozenTrial], maximize: bool) -> dict[str, float]:
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    study.add_trials(trials)
    quantile = max(TOP_QUANTILE, MIN_TRIALS_IN_QUANTILE / len(trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a hyperparameter that only one trial has; its share is small
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile))
