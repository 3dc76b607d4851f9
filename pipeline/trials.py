"""A wave of trials: grouped by shape, trained by one hand or several, told to the study, tracked, shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from pipeline import model
from pipeline.config.schema import Search
from pipeline.data.examples import DataError
from pipeline.display import Display
from pipeline.engine.company import Shape, groups
from pipeline.hands import Hand
from pipeline.question import Question
from pipeline.space import Candidate
from pipeline.study import Proposal, Study
from pipeline.tracking.tracker import Tracker
from pipeline.training import Judge, Outcome


class Trials:
    """Trains what the study proposes; with several hands the groups of a wave are trained at once, the longest first.

    check: raises where the search is to stop; spent: whether no new trial is to begin.
    """

    def __init__(
        self,
        search: Search,
        question: Question,
        study: Study,
        tracker: Tracker,
        folder: Path,
        check: Callable[[], None],
        spent: Callable[[], bool],
    ) -> None:
        self.search, self.question, self.study, self.tracker = search, question, study, tracker
        self.folder, self.check, self.spent = folder, check, spent
        self.telling = Lock()

    def run(self, hands: Sequence[Hand], display: Display) -> None:
        """Wave after wave, until the study has all its trials or the time is spent."""
        with ThreadPoolExecutor(len(hands)) as pool:
            free: SimpleQueue[int] = SimpleQueue()
            for place in range(len(hands)):
                free.put(place)

            def train(group: Sequence[Proposal]) -> None:
                place = free.get()
                try:
                    self._group(hands[place], group, display, place)
                finally:
                    free.put(place)

            while not self.spent() and (wave := self.study.ask()):
                if len(hands) == 1:  # in this thread, where Ctrl-C is heard
                    for group in self._groups(wave):
                        self._group(hands[0], group, display, 0)
                else:
                    list(pool.map(train, sorted(self._groups(wave), key=self._work, reverse=True)))

    def _groups(self, wave: Sequence[Proposal]) -> list[list[Proposal]]:
        """The trials that are trained side by side."""
        task, folds = self.question.task, len(self.question.splits.folds)
        shapes = [Shape.of(each.candidate.model, each.candidate.training) for each in wave]
        found = groups(shapes, folds, task.inputs.features, task.head.outputs, on_gpu=task.device.on_gpu)
        return [[wave[place] for place in group] for group in found]

    def _work(self, group: Sequence[Proposal]) -> int:
        """About how long a group takes, in no unit."""
        return sum(self._described(each.candidate).parameters * each.candidate.training.epochs for each in group)

    def _described(self, candidate: Candidate) -> model.Architecture:
        return model.describe(self.search.task, self.question.inputs, candidate.model, self.question.head)

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
            outcomes = hand.train(proposals, [self._judge(each.number, display, place) for each in proposals])
        except DataError:
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
                architecture = self._described(proposal.candidate)
                row = self.study.tell(proposal, outcome, architecture.parameters, seconds)
                best = self.study.best()
                if best is not None and best.number == row.number:
                    hand.keep(index, self.folder / "leader")
                self.tracker.trial(row, architecture.text())
                display.finish(row, best)

    def _judge(self, number: int, display: Display, place: int) -> Judge:
        def watch(epoch: int) -> None:
            display.epoch(place, epoch)
            self.check()

        return self.study.judge(number, watch)
