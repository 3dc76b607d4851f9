"""Pruning of trials by Optuna: after each epoch, whether a trial falls behind the others and is stopped."""

from collections.abc import Sequence
from copy import copy

import optuna
from optuna.trial import Trial

from pipeline.config.search_methods import Pruner


class TrialPruner:
    """Optuna's pruner of a search, for trials of at most `max_epochs` epochs."""

    def __init__(self, pruner: Pruner, max_epochs: int) -> None:
        warmup_epochs = max(1, max_epochs // 5)  # curves are mostly noise before
        pruner_class = getattr(optuna.pruners, pruner.optuna_class)
        self.optuna_pruner: optuna.pruners.BasePruner = pruner_class(**pruner.arguments(warmup_epochs))
        self.seen_epochs: dict[int, int] = {}

    def should_prune(self, optuna_study: optuna.Study, trial: Trial, number: int, mean_scores: Sequence[float]) -> bool:
        """Return whether to prune a trial after its latest epoch; number: in the search; mean_scores: of all epochs.

        The baseline is never pruned. Stateful pruners (successive halving) must see every epoch, so the epochs of a
        trial that is resumed from a checkpoint are replayed.
        """
        n_seen = self.seen_epochs.get(number, 0)
        first_epoch = n_seen + 1 if len(mean_scores) > n_seen else 1  # fewer: the trial is trained again
        self.seen_epochs[number] = len(mean_scores)
        is_behind = False
        for epoch in range(first_epoch, len(mean_scores) + 1):
            # Copied anew for each epoch, with the attributes that the pruner has stored in the trial.
            frozen = copy(optuna_study.get_trials(deepcopy=False)[trial.number])
            frozen.intermediate_values = dict(enumerate(mean_scores[:epoch], start=1))
            is_behind = bool(self.optuna_pruner.prune(optuna_study, frozen))
        return number > 0 and is_behind
