"""The winner and the baseline, refit on all development rows and tested once on rows that nothing has seen."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.artifact import model_files
from pipeline.artifact.model_files import ARCHITECTURE_FILE, PARAMETERS_FILE, TrainedModel
from pipeline.config.schema import Search
from pipeline.models.heads import Scores
from pipeline.runtime import seeds
from pipeline.runtime.progress_bars import progress_bar
from pipeline.study import space
from pipeline.study.intervals import CONFIDENCE_LEVEL, bootstrap_interval, wilson_interval
from pipeline.study.problem import Problem
from pipeline.study.space import Candidate
from pipeline.study.trial_record import TrialRecord
from pipeline.training.engine import Member, StreamSeeds
from pipeline.training.fit import refit
from pipeline.training.fold_data import FoldDataBuilder


@dataclass(frozen=True)
class TestScore:
    """A score on the held-out rows with its interval, and every other score of the head."""

    value: float
    low: float
    high: float
    others: Scores


class WinnerRefit:
    """Refits candidates and scores them on the held-out test rows, which are opened here and nowhere else."""

    def __init__(self, search: Search, problem: Problem) -> None:
        self.search, self.problem = search, problem
        examples, splits = problem.examples, problem.splits
        self.test_targets = torch.from_numpy(np.array(examples.targets))[torch.from_numpy(splits.test)]
        fold_data_builder = FoldDataBuilder(examples, problem.inputs, problem.head, problem.task.device.torch_device)
        self.development_data = fold_data_builder.build_refit_data(splits.development)

    def refit_and_test(
        self, best: TrialRecord, baseline: TrialRecord | None, folder: Path, n_test_evaluations: int
    ) -> dict[str, Any]:
        """Refits and tests the winner and the baseline, and writes the winner's two files into `folder`/model.

        opened: how often the test rows have been opened for this study, this time included. Returns the parts of the
        summary that depend on it.
        """
        winner = self._refit(best, "winner")
        winner_score = self._score_on_test(winner)
        baseline_score = (
            winner_score
            if baseline is None or baseline.number == best.number
            else self._score_on_test(self._refit(baseline, "baseline"))
        )
        architecture = winner.save(folder / "model")
        metric = self.search.metric.name
        test_counts = {"rows": len(self.test_targets), "opened": n_test_evaluations}
        return {
            "baseline_test": {key: value for key, value in asdict(baseline_score).items() if key != "others"},
            "test": {"metric": metric, **asdict(winner_score), "level": CONFIDENCE_LEVEL, **test_counts},
            "majority": {"metric": metric, "value": self._score_constant_prediction()},
            "parameters": architecture.parameters,
            "files": _describe_files(folder),
        }

    def _refit(self, trial: TrialRecord, label: str) -> TrainedModel:
        """The row's candidate trained on all development rows, for as many epochs as cross-validation chose."""
        candidate: Candidate = space.from_hyperparameters(trial.hyperparameters)
        stream_seeds = StreamSeeds(self.search.seed, seeds.derive_seed(self.search.seed, trial.number))
        member = Member(candidate.model, candidate.training, stream_seeds, self.development_data)
        with progress_bar(f"training the {label} on all rows", trial.epoch) as on_epoch:
            weights = refit(self.problem.task, member, trial.epoch, on_epoch)
        input_constants = {key: value.cpu() for key, value in self.development_data.input_constants.items()}
        problem, is_synthetic = self.problem, self.problem.examples.is_synthetic
        architecture = model_files.build_architecture(
            self.search.task, problem.inputs, candidate.model, problem.head, synthetic=is_synthetic
        )
        return TrainedModel(architecture, weights, input_constants, self.development_data.target_constants)

    def _score_on_test(self, model: TrainedModel) -> TestScore:
        """The scores of a refit model on the test rows."""
        head, metric, constants = self.problem.head, self.search.metric, model.target_constants
        predictions = model.predict(self.problem.examples.inputs.take(self.problem.splits.test))
        value = head.score(metric, predictions, self.test_targets, constants)
        others = head.score_all(predictions, self.test_targets, constants)
        low, high = self._confidence_interval(value, predictions, model)
        return TestScore(value, low, high, {name: score for name, score in others.items() if name != metric.name})

    def _confidence_interval(self, value: float, predictions: Tensor, model: TrainedModel) -> tuple[float, float]:
        head, metric = self.problem.head, self.search.metric
        if metric.interval == "wilson":
            return wilson_interval(value, len(predictions))

        def score(rows: Tensor) -> float:
            return head.score(metric, predictions[rows], self.test_targets[rows], model.target_constants)

        return bootstrap_interval(score, len(predictions), seeds.make_generator(self.search.seed, "bootstrap"))

    def _score_constant_prediction(self) -> float:
        """The score of the best answer that looks at no input."""
        head, metric = self.problem.head, self.search.metric
        prediction = head.constant_prediction(self.problem.examples.targets[self.problem.splits.development], metric)
        return head.score(
            metric,
            prediction.expand(len(self.test_targets), -1),
            self.test_targets,
            self.development_data.target_constants,
        )


def _describe_files(folder: Path) -> dict[str, str]:
    """The two files, relative to the study's folder, and their hashes."""
    names = {"architecture": f"model/{ARCHITECTURE_FILE}", "parameters": f"model/{PARAMETERS_FILE}"}
    hashes = {
        f"{kind}_sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest() for kind, name in names.items()
    }
    return names | hashes
