"""Final models of the winner and the baseline, and their one evaluation on the test set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.artifact.model_files import ARCHITECTURE_FILE, PARAMETERS_FILE, TrainedModel
from pipeline.config.schema import Search
from pipeline.preprocessing import Constants
from pipeline.runtime import seeds
from pipeline.runtime.errors import describe_error
from pipeline.runtime.progress_bars import spinner
from pipeline.study.intervals import CONFIDENCE_LEVEL, bootstrap_interval, wilson_interval
from pipeline.study.problem import Problem
from pipeline.study.summary import (
    ChampionSummary,
    ConstantScore,
    CrossValidationScore,
    IntervalScore,
    ModelFiles,
    ReferenceSummary,
    RefitResult,
    TestScore,
)
from pipeline.study.trial_record import TrialRecord
from pipeline.tuner.final_models import FinalModelBuilder

if TYPE_CHECKING:
    from pipeline.tuner.references import ReferencePredictions


class FinalEvaluation:
    """Builds the final models of a study and scores them on the test set: no other code reads the test rows.

    folder: the study's; trials: those that have finished; print_line: prints what the user should know.
    """

    def __init__(
        self,
        problem: Problem,
        search: Search,
        folder: Path,
        trials: Sequence[TrialRecord],
        print_line: Callable[[str], None],
    ) -> None:
        self.problem = problem
        self.kind = search.champion
        self.reference_names = dict.fromkeys(search.references)
        self.n_repeats = search.cv.repeats
        self.seed = search.seed
        self.folder = folder
        self.print = print_line
        self.builder = FinalModelBuilder(problem, search.task, search.seed, folder, trials)
        self.head = problem.task.head
        self.metric = problem.task.metric
        splits = problem.splits
        self.test_targets = torch.from_numpy(np.array(problem.examples.targets))[torch.from_numpy(splits.test)]

    def run(
        self, best: TrialRecord, baseline: TrialRecord | None, n_test_evaluations: int, limit_seconds: float
    ) -> RefitResult:
        """Build and test the winner and the baseline, and write the winner's two files into the study's folder.

        n_test_evaluations: how many times the test set was evaluated for this study, including this time.
        limit_seconds: the time that the references may take.
        """
        winner = self.builder.build(self.kind, best, "winner")
        test_score = self._score_on_test(winner, n_test_evaluations)
        baseline_test = None
        if baseline is not None:
            score = test_score
            if baseline.number != best.number:
                # One trial cannot be an ensemble: beside one, the baseline is the mean of its own folds.
                kind = "fold_average" if self.kind == "ensemble" else self.kind
                score = self._score_on_test(self.builder.build(kind, baseline, "baseline"), n_test_evaluations)
            baseline_test = IntervalScore(score.value, score.low, score.high)
        architecture = winner.save(self.folder / "model")
        return RefitResult(
            baseline_test=baseline_test,
            test=test_score,
            constant_baseline=ConstantScore(self.metric.name, self._score_constant_prediction()),
            champion=ChampionSummary(self.kind, len(winner.networks)),
            references=tuple(self._evaluate_references(limit_seconds)),
            parameters=architecture.parameters,
            files=self._describe_files(),
        )

    def _evaluate_references(self, limit_seconds: float) -> Iterator[ReferenceSummary]:
        """Yield the scores of the references that the search names; one that is too large is left out with a line."""
        if not self.reference_names:
            return
        # Here, since scikit-learn's models take a second to import.
        from pipeline.tuner.references import REFERENCE_KINDS, ReferenceTooLargeError, ReferenceTrainer

        trainer = ReferenceTrainer(self.problem, self.seed)
        for name in self.reference_names:
            kind = REFERENCE_KINDS[name]
            if not trainer.is_for(kind):
                continue
            try:
                with spinner(f"training a reference: {kind.title}"):
                    trained = trainer.train(kind, limit_seconds)
            except (ReferenceTooLargeError, ValueError) as error:  # what scikit-learn refuses costs no search
                self.print(f"reference {name} is left out: {describe_error(error)}")
                continue
            limit_seconds -= trained.seconds
            yield self._summarize_reference(name, trained)

    def _summarize_reference(self, name: str, trained: ReferencePredictions) -> ReferenceSummary:
        constants = self.builder.target_constants
        value = self.head.score(self.metric, trained.test, self.test_targets, constants)
        scores = CrossValidationScore.from_folds(self.metric, self.problem.score_folds(trained.folds), self.n_repeats)
        test = IntervalScore(value, *self._confidence_interval(value, trained.test, constants))
        return ReferenceSummary(name, trained.title, scores, test, round(trained.seconds, 3))

    def _describe_files(self) -> ModelFiles:
        names = (f"model/{ARCHITECTURE_FILE}", f"model/{PARAMETERS_FILE}")
        return ModelFiles(*names, *(hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in names))

    def _score_on_test(self, model: TrainedModel, n_test_evaluations: int) -> TestScore:
        constants = model.target_constants
        predictions = model.predict(self.problem.examples.inputs.take(self.problem.splits.test))
        value = self.head.score(self.metric, predictions, self.test_targets, constants)
        scores = self.head.score_all(predictions, self.test_targets, constants)
        low, high = self._confidence_interval(value, predictions, constants)
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

    def _confidence_interval(self, value: float, predictions: Tensor, constants: Constants) -> tuple[float, float]:
        if self.metric.interval == "wilson":
            return wilson_interval(value, len(predictions))

        def score(rows: Tensor) -> float:
            return self.head.score(self.metric, predictions[rows], self.test_targets[rows], constants)

        return bootstrap_interval(score, len(predictions), seeds.make_generator(self.seed, "bootstrap"))

    def _score_constant_prediction(self) -> float:
        development_targets = self.problem.examples.targets[self.problem.splits.development]
        prediction = self.head.constant_prediction(development_targets, self.metric)
        predictions = prediction.expand(len(self.test_targets), -1)
        return self.head.score(self.metric, predictions, self.test_targets, self.builder.target_constants)
