"""Final models of a trial: a network refit on all development rows, the mean of its fold networks, or an ensemble."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from pipeline.artifact.architecture import Architecture, EnsembleMember, build_architecture
from pipeline.artifact.model_files import TrainedModel, TrainedNetwork
from pipeline.config.final_models import FinalModelKind
from pipeline.config.model import Model
from pipeline.runtime import seeds
from pipeline.runtime.progress_bars import progress_bar
from pipeline.study import space
from pipeline.study.problem import Problem
from pipeline.study.space import Candidate
from pipeline.study.trial_record import TrialRecord
from pipeline.training.engine import Member, StateDict, StreamSeeds
from pipeline.training.fit import cross_validate_trials, refit
from pipeline.training.trials import TrialSpec
from pipeline.tuner.fold_weights import load_fold_weights, weights_folder
from pipeline.tuner.greedy_ensemble import select_members
from pipeline.tuner.out_of_fold import load_out_of_fold, predictions_file


class FinalModelBuilder:
    """Builds the final model of a trial of one study.

    task, seed: those of the search, for the model file and for the streams of random numbers. folder: the study's.
    trials: all finished trials, of which an ensemble is made.
    """

    def __init__(self, problem: Problem, task: str, seed: int, folder: Path, trials: Sequence[TrialRecord]) -> None:
        self.problem = problem
        self.task = task
        self.seed = seed
        self.folder = folder
        self.trials = {trial.number: trial for trial in trials}
        self.data_builder = problem.fold_data_builder()
        self.target_constants = problem.task.head.fit(problem.examples.targets[problem.splits.development])

    def build(self, kind: FinalModelKind, trial: TrialRecord, label: str) -> TrainedModel:
        """Return the final model of a trial; label: what the progress bar calls it."""
        if kind == "refit":
            return self.refit(trial, label)
        return self.average_folds(trial) if kind == "fold_average" else self.build_ensemble(trial)

    def refit(self, trial: TrialRecord, label: str) -> TrainedModel:
        """Return one network, trained on all development rows for the epochs that cross-validation chose."""
        candidate = space.from_hyperparameters(trial.hyperparameters)
        data = self.data_builder.build_refit_data(self.problem.splits.development)
        member = Member(candidate.model, candidate.training, self._stream_seeds(trial), data)
        with progress_bar(f"training the {label} on all rows", trial.epoch) as on_epoch:
            weights = refit(self.problem.task, member, trial.epoch, on_epoch)
        input_constants = {name: value.cpu() for name, value in data.input_constants.items()}
        architecture = self._build_architecture(candidate.model)
        return TrainedModel.from_network(architecture, weights, input_constants, data.target_constants)

    def average_folds(self, trial: TrialRecord) -> TrainedModel:
        """Return the mean of the networks that cross-validation trained; no row of the test set is in any fold."""
        return self._average({trial.number: 1})

    def build_ensemble(self, best: TrialRecord) -> TrainedModel:
        """Return the ensemble of the trials that a greedy selection takes by their out-of-fold predictions."""
        predictions = {
            number: loaded
            for number, trial in self.trials.items()
            if trial.is_finite and (loaded := load_out_of_fold(predictions_file(self.folder, number)))
        }
        if best.number not in predictions:  # written by an earlier version
            return self.average_folds(best)
        counts = select_members(predictions, self._score_out_of_fold, best.number)
        return self._average(counts)

    def _score_out_of_fold(self, predictions: Sequence[Tensor]) -> float:
        """Return the mean score over the folds, or the mean error with a minus sign: more is better."""
        scores = self.problem.score_folds(predictions)
        return self.problem.task.metric.improvement(math.fsum(scores) / len(scores), 0.0)

    def _average(self, weights: Mapping[int, int]) -> TrainedModel:
        """Return the mean of the fold networks of trials, given the weight of each trial by its number."""
        networks: list[TrainedNetwork] = []
        members = []
        for number, weight in weights.items():
            fold_networks = self._load_networks(self.trials[number])
            networks += fold_networks
            members.append(EnsembleMember(fold_networks[0].model, networks=len(fold_networks), weight=weight))
        ensemble = tuple(members)
        architecture = self._build_architecture(ensemble[0].model, ensemble)
        return TrainedModel(architecture, tuple(networks), self.target_constants)

    def _load_networks(self, trial: TrialRecord) -> list[TrainedNetwork]:
        """Return the fold networks of a trial, trained again if their weights are not saved."""
        candidate = space.from_hyperparameters(trial.hyperparameters)
        folds = self.problem.splits.folds
        saved = load_fold_weights(weights_folder(self.folder) / str(trial.number), len(folds))
        return [
            TrainedNetwork(candidate.model, weights, *self.data_builder.fit_constants(fold.train))
            for fold, weights in zip(folds, saved or self._retrain_folds(trial, candidate), strict=True)
        ]

    def _retrain_folds(self, trial: TrialRecord, candidate: Candidate) -> list[StateDict]:
        """Train the fold networks of a trial again: the same seeds and number of epochs give the same weights."""
        n_epochs = len(trial.epoch_results)
        folds = self.data_builder.build_folds(self.problem.splits)
        with progress_bar(f"training the folds of trial {trial.number} again", n_epochs) as on_epoch:

            def is_last_epoch(mean_scores: Sequence[float]) -> bool:
                on_epoch(1)
                return len(mean_scores) >= n_epochs

            spec = TrialSpec(candidate.model, candidate.training, self._stream_seeds(trial), is_last_epoch)
            (result,) = cross_validate_trials(self.problem.task, folds, [spec])
        return list(result.fold_weights)

    def _stream_seeds(self, trial: TrialRecord) -> StreamSeeds:
        return StreamSeeds(self.seed, seeds.derive_seed(self.seed, trial.number))

    def _build_architecture(self, model: Model, ensemble: tuple[EnsembleMember, ...] = ()) -> Architecture:
        task = self.problem.task
        synthetic = self.problem.examples.is_synthetic
        return build_architecture(self.task, task.inputs, model, task.head, synthetic=synthetic, ensemble=ensemble)
