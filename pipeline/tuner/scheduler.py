"""A wave of trials: grouped by shape, trained by one hand or several, told to the study, shown."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from pipeline.artifact.model_files import MOST_PARAMETERS
from pipeline.config.schema import Search
from pipeline.data.examples import DataError
from pipeline.models.networks import learned, multiplications, unfit
from pipeline.runtime.files import NotWrittenError
from pipeline.study.problem import Question
from pipeline.study.space import Candidate
from pipeline.study.study import Proposal, Study
from pipeline.study.trial_record import Row
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.engine.batching_rule import Shape, groups
from pipeline.training.trial_state import Judge, Outcome
from pipeline.tuner.executors import Hand, WorkerError
from pipeline.tuner.live_display import Display

MOST_FAILURES = 3


class FailingError(Exception):
    """Trials die one after the other: what of, and what to do, in one line."""


class TooLargeError(Exception):
    """A network that no model file takes."""


class Trials:
    """Trains what the study proposes; with several hands the groups of a wave are trained at once, the longest first.

    check: raises where the search is to stop; spent: whether no new trial is to begin.
    """

    def __init__(
        self,
        search: Search,
        question: Question,
        study: Study,
        folder: Path,
        check: Callable[[], None],
        spent: Callable[[], bool],
    ) -> None:
        self.search, self.question, self.study = search, question, study
        self.folder, self.check, self.spent = folder, check, spent
        self.checkpoints = Checkpoints(folder)
        self.telling = Lock()
        self.failures: list[str] = []  # the causes of the latest, one after the other

    def run(self, hands: Sequence[Hand], display: Display) -> None:
        """Wave after wave, until the study has all its trials or the time is spent."""
        with ThreadPoolExecutor(len(hands)) as pool:
            free: SimpleQueue[int] = SimpleQueue()
            for place in range(len(hands)):
                free.put(place)

            def train(group: Sequence[Proposal]) -> None:
                place = free.get()
                try:
                    self._whole_group(hands[place], group, display, place)
                finally:
                    free.put(place)

            while not self.spent() and (wave := self.study.ask()):
                new = [proposal for proposal in wave if proposal.same_as is None]
                if len(hands) == 1:  # in this thread, where signals are heard
                    for group in self._groups(new):
                        self._whole_group(hands[0], group, display, 0)
                else:
                    list(pool.map(train, sorted(self._groups(new), key=self._work, reverse=True)))
                self._repeats(wave, display)
        if len(self.study.rows()) >= self.study.total:
            self.checkpoints.clear()

    def _groups(self, wave: Sequence[Proposal]) -> list[list[Proposal]]:
        """The trials that are trained side by side."""
        task, folds = self.question.task, len(self.question.splits.folds)
        shapes = [Shape.of(each.candidate.model, each.candidate.training) for each in wave]
        found = groups(shapes, folds, task.inputs.features, task.head.outputs, task.device.room)
        return [[wave[place] for place in group] for group in found]

    def _work(self, group: Sequence[Proposal]) -> int:
        """About how long a group takes, in no unit."""
        features, outputs = self.question.task.inputs.features, self.question.task.head.outputs
        return sum(
            multiplications(features, each.candidate.model, outputs) * each.candidate.training.all_epochs
            for each in group
        )

    def _parameters(self, candidate: Candidate) -> int:
        task = self.question.task
        return learned(task.inputs.features, candidate.model, task.head.outputs)

    def _check_size(self, proposal: Proposal) -> None:
        """Raises TooLargeError, or for the baseline DataError, where no model file takes a network."""
        key, rule = "channels", unfit(self.question.task.inputs.features, proposal.candidate.model)
        if rule is None:
            if (count := self._parameters(proposal.candidate)) <= MOST_PARAMETERS:
                return
            key, rule = "nodes", f"a model has at most {MOST_PARAMETERS:,} parameters; this one has {count:,}"
        if proposal.number == 0:
            raise DataError(f"model.{key}: {rule}; use fewer {key}, or smaller pictures (dataset.size=)")
        raise TooLargeError(rule)

    def _whole_group(self, hand: Hand, proposals: Sequence[Proposal], display: Display, place: int) -> None:
        self._group(hand, proposals, display, place)
        self.checkpoints.forget([each.number for each in proposals if self.study.has(each.number)])

    def _group(self, hand: Hand, proposals: Sequence[Proposal], display: Display, place: int) -> None:
        """Trains trials side by side, and tells how they went.

        Whatever several die of, each half of them is tried again: so the one whose fault it is dies alone, and a stack
        that is too large for the memory becomes two. The search goes on; in the baseline it is a bug.
        """
        self.check()
        if self.spent():
            return
        begin = time.monotonic()
        display.start(place, proposals)
        outcomes: Sequence[Outcome | Exception] = []
        died: Exception | None = None
        try:
            self._check_size(proposals[0])
            outcomes = hand.train(proposals, [self._judge(each.number, display, place) for each in proposals])
        except (DataError, NotWrittenError):
            raise
        except Exception as error:
            self.check()  # an interrupted search ends its workers, and that is no trial's fault
            if proposals[0].number == 0:
                raise
            died = error.with_traceback(None)  # which holds the stack that did not fit
        if died is not None and len(proposals) > 1:
            half = len(proposals) // 2
            self._group(hand, proposals[:half], display, place)
            self._group(hand, proposals[half:], display, place)
            return
        if died is not None:
            outcomes = [died]
        seconds = (time.monotonic() - begin) / len(proposals)
        with self.telling:
            for index, (proposal, outcome) in enumerate(zip(proposals, outcomes, strict=True)):
                try:
                    self._tell(hand, index, proposal, outcome, seconds, display)
                except WorkerError as error:  # it died before it kept its weights: nothing was written down
                    self.check()
                    raise FailingError(f"trial {proposal.number}: {error}; the same command goes on") from None

    def _tell(
        self,
        hand: Hand,
        index: int,
        proposal: Proposal,
        outcome: Outcome | Exception,
        seconds: float,
        display: Display,
    ) -> None:
        """Writes down how a trial went; of several kept ones only the best trial's weights stay."""
        leaders, parameters = self.folder / "leader", self._parameters(proposal.candidate)
        row = self.study.tell(
            proposal, outcome, parameters, seconds, lambda: hand.keep(index, leaders / str(proposal.number))
        )
        display.finish(row, self.study.best())
        sweep(leaders, self.study.best())
        self.failures = [*self.failures, row.cause][-MOST_FAILURES:] if row.state == "failed" else []
        if self.failures.count(row.cause) == MOST_FAILURES:
            raise FailingError(
                f"{MOST_FAILURES} trials in a row have died of the same: {row.reason}; mend that, or search smaller "
                "networks (model.nodes, training.batch_size), and the same command goes on"
            )

    def _repeats(self, wave: Sequence[Proposal], display: Display) -> None:
        """Trials that try what has been tried are written down as that went."""
        for proposal in wave:
            if proposal.same_as is not None and self.study.has(proposal.same_as):
                display.finish(self.study.repeat(proposal), self.study.best())

    def _judge(self, number: int, display: Display, place: int) -> Judge:
        return self.study.judge(number, lambda epoch: display.epoch(place, epoch))


def sweep(leaders: Path, best: Row | None) -> None:
    """Of the kept weights only those of the best trial stay."""
    for folder in leaders.iterdir() if leaders.is_dir() else ():
        if best is not None and folder.name != str(best.number):
            shutil.rmtree(folder)
