"""Refit of the winner and the baseline on all development rows, and their one evaluation on the test set."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.artifact.model_files import ARCHITECTURE_FILE, PARAMETERS_FILE, TrainedModel, build_architecture
from pipeline.runtime import seeds
from pipeline.runtime.progress_bars import progress_bar
from pipeline.study import space
from pipeline.study.intervals import CONFIDENCE_LEVEL, bootstrap_interval, wilson_interval
from pipeline.study.problem import Problem
from pipeline.study.summary import ConstantScore, IntervalScore, ModelFiles, RefitResult, TestScore
from pipeline.study.trial_record import TrialRecord
from pipeline.training.engine import Member, StreamSeeds
from pipeline.training.fit import refit


class WinnerRefit:
    """Refits trials on the development rows and scores them on the test set: no other code reads the test rows.

    task, seed: those of the search, for the model file and for the streams of random numbers.
    """

    def __init__(self, problem: Problem, task: str, seed: int) -> None:
        self.problem = problem
        self.task = task
        self.seed = seed
        self.head = problem.task.head
        self.metric = problem.task.metric
        splits = problem.splits
        self.test_targets = torch.from_numpy(np.array(problem.examples.targets))[torch.from_numpy(splits.test)]
        self.development_data = problem.fold_data_builder().build_refit_data(splits.development)

    def refit_and_test(
        self, best: TrialRecord, baseline: TrialRecord | None, folder: Path, n_test_evaluations: int
    ) -> RefitResult:
        """Refit and test the winner and the baseline, and write the winner's two files into `folder`/model.

        n_test_evaluations: how many times the test set was evaluated for this study, including this time.
        """
        winner = self._refit(best, "winner")
        test_score = self._score_on_test(winner, n_test_evaluations)
        baseline_test = None
        if baseline is not None:
            score = test_score
            if baseline.number != best.number:
                score = self._score_on_test(self._refit(baseline, "baseline"), n_test_evaluations)
            baseline_test = IntervalScore(score.value, score.low, score.high)
        architecture = winner.save(folder / "model")
        files = (f"model/{ARCHITECTURE_FILE}", f"model/{PARAMETERS_FILE}")
        return RefitResult(
            baseline_test=baseline_test,
            test=test_score,
            constant_baseline=ConstantScore(self.metric.name, self._score_constant_prediction()),
            parameters=architecture.parameters,
            files=ModelFiles(*files, *(hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files)),
        )

    def _refit(self, trial: TrialRecord, label: str) -> TrainedModel:
        """Train the trial's candidate on all development rows for the number of epochs that cross-validation chose."""
        candidate = space.from_hyperparameters(trial.hyperparameters)
        stream_seeds = StreamSeeds(self.seed, seeds.derive_seed(self.seed, trial.number))
        member = Member(candidate.model, candidate.training, stream_seeds, self.development_data)
        with progress_bar(f"training the {label} on all rows", trial.epoch) as on_epoch:
            weights = refit(self.problem.task, member, trial.epoch, on_epoch)
        input_constants = {key: value.cpu() for key, value in self.development_data.input_constants.items()}
        inputs = self.problem.task.inputs
        synthetic = self.problem.examples.is_synthetic
        architecture = build_architecture(self.task, inputs, candidate.model, self.head, synthetic=synthetic)
        return TrainedModel(architecture, weights, input_constants, self.development_data.target_constants)

    def _score_on_test(self, model: TrainedModel, n_test_evaluations: int) -> TestScore:
        constants = model.target_constants
        predictions = model.predict(self.problem.examples.inputs.take(self.problem.splits.test))
        value = self.head.score(self.metric, predictions, self.test_targets, constants)
        scores = self.head.score_all(predictions, self.test_targets, constants)
        low, high = self._confidence_interval(value, predictions, model)
        return TestScore(
            metric=self.metric.name,
            value=value,
            low=low,
            high=high,
            others={name: score for name, score in scores.items() if name != self.metric.name},
            level=CONFIDENCE_LEVEL,
            rows=len(self.test_targets),
            evaluations=n_test_evaluations,
        )

    def _confidence_interval(self, value: float, predictions: Tensor, model: TrainedModel) -> tuple[float, float]:
        if self.metric.interval == "wilson":
            return wilson_interval(value, len(predictions))

        def score(rows: Tensor) -> float:
            return self.head.score(self.metric, predictions[rows], self.test_targets[rows], model.target_constants)

        return bootstrap_interval(score, len(predictions), seeds.make_generator(self.seed, "bootstrap"))

    def _score_constant_prediction(self) -> float:
        development_targets = self.problem.examples.targets[self.problem.splits.development]
        prediction = self.head.constant_prediction(development_targets, self.metric)
        predictions = prediction.expand(len(self.test_targets), -1)
        return self.head.score(self.metric, predictions, self.test_targets, self.development_data.target_constants)
