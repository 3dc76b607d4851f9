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
from pipeline.artifact.model_files import ARCHITECTURE, PARAMETERS, TrainedModel
from pipeline.config.schema import Search
from pipeline.models.heads import Scores
from pipeline.runtime import seeds
from pipeline.runtime.progress_bars import counted
from pipeline.study import space
from pipeline.study.intervals import LEVEL, bootstrap, wilson
from pipeline.study.problem import Question
from pipeline.study.space import Candidate
from pipeline.study.trial_record import Row
from pipeline.training.engine import Member, Seeds
from pipeline.training.fit import refit
from pipeline.training.fold_data import Preparation


@dataclass(frozen=True)
class Tested:
    """A score on the held-out rows with its interval, and every other score of the head."""

    value: float
    low: float
    high: float
    others: Scores


class Champion:
    """Refits candidates and scores them on the held-out test rows, which are opened here and nowhere else."""

    def __init__(self, search: Search, question: Question) -> None:
        self.search, self.question = search, question
        examples, splits = question.examples, question.splits
        self.targets = torch.from_numpy(np.array(examples.targets))[torch.from_numpy(splits.test)]
        preparation = Preparation(examples, question.inputs, question.head, question.task.device.torch)
        self.data = preparation.all_rows(splits.development)

    def crown(self, best: Row, baseline: Row | None, folder: Path, opened: int) -> dict[str, Any]:
        """Refits and tests the winner and the baseline, and writes the winner's two files into `folder`/model.

        opened: how often the test rows have been opened for this study, this time included. Returns the parts of the
        summary that depend on it.
        """
        winner = self._refit(best, "winner")
        tested = self._test(winner)
        first = (
            tested
            if baseline is None or baseline.number == best.number
            else self._test(self._refit(baseline, "baseline"))
        )
        architecture = winner.write(folder / "model")
        metric = self.search.metric
        rows = {"rows": len(self.targets), "opened": opened}
        return {
            "baseline_test": {key: value for key, value in asdict(first).items() if key != "others"},
            "test": {"metric": metric, **asdict(tested), "level": LEVEL, **rows},
            "majority": {"metric": metric, "value": self._majority()},
            "parameters": architecture.parameters,
            "files": _files(folder),
        }

    def _refit(self, row: Row, said: str) -> TrainedModel:
        """The row's candidate trained on all development rows, for as many epochs as cross-validation chose."""
        candidate: Candidate = space.restored(row.fields)
        names = Seeds(self.search.seed, seeds.number(self.search.seed, row.number))
        member = Member(candidate.model, candidate.training, names, self.data)
        with counted(f"training the {said} on all rows", row.epoch) as done:
            weights = refit(self.question.task, member, row.epoch, done)
        constants = {key: value.cpu() for key, value in self.data.input_constants.items()}
        question, drawn = self.question, self.question.examples.drawn
        architecture = model_files.describe(
            self.search.task, question.inputs, candidate.model, question.head, drawn=drawn
        )
        return TrainedModel(architecture, weights, constants, self.data.target_constants)

    def _test(self, trained: TrainedModel) -> Tested:
        """The scores of a refit model on the test rows."""
        head, metric, constants = self.question.head, self.search.metric, trained.target_constants
        answers = trained.answers(self.question.examples.inputs.take(self.question.splits.test))
        value = head.score(metric, answers, self.targets, constants)
        others = head.report(answers, self.targets, constants)
        low, high = self._interval(value, answers, trained)
        return Tested(value, low, high, {name: score for name, score in others.items() if name != metric})

    def _interval(self, value: float, answers: Tensor, trained: TrainedModel) -> tuple[float, float]:
        head, metric = self.question.head, self.search.metric
        if metric == "accuracy":
            return wilson(value, len(answers))

        def score(rows: Tensor) -> float:
            return head.score(metric, answers[rows], self.targets[rows], trained.target_constants)

        return bootstrap(score, len(answers), seeds.generator(self.search.seed, "bootstrap"))

    def _majority(self) -> float:
        """The score of the best answer that looks at no input."""
        head, metric = self.question.head, self.search.metric
        constant = head.majority(self.question.examples.targets[self.question.splits.development], metric)
        return head.score(metric, constant.expand(len(self.targets), -1), self.targets, self.data.target_constants)


def _files(folder: Path) -> dict[str, str]:
    """The two files, relative to the study's folder, and their hashes."""
    names = {"architecture": f"model/{ARCHITECTURE}", "parameters": f"model/{PARAMETERS}"}
    hashes = {
        f"{kind}_sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest() for kind, name in names.items()
    }
    return names | hashes
