"""The search itself: what is tried next, who may stop it, how it went; the record of a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import optuna

from pipeline import space
from pipeline.config.schema import Search
from pipeline.space import Candidate
from pipeline.study import waves
from pipeline.study.advisor import Advisor
from pipeline.study.record import Record
from pipeline.study.rows import Row, State, record
from pipeline.training import Epoch, Judge, Outcome

__all__ = ["Proposal", "Row", "State", "Study"]


@dataclass(frozen=True)
class Proposal:
    """What is to be tried under which number."""

    number: int
    candidate: Candidate


class Study:
    """One search's trials; opened again, it goes on where it was.

    wave: how many trials are drawn at a time. deciding: the seconds that Optuna took.
    """

    def __init__(
        self, search: Search, name: str, folder: Path, facts: Mapping[str, str], *, maximise: bool, wave: int = 1
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.search, self.maximise, self.wave = search, maximise, wave
        self.deciding, self._lock = 0.0, Lock()
        with self._at_work():
            self.record = Record(folder, name, facts, maximise=maximise)
            self.advisor = Advisor(search, self.record, maximise)
        self._best: Row | None = None
        for row in self.rows():
            self._compare(row)

    @property
    def total(self) -> int:
        """How many trials the study is to have; without a range there is one thing to try."""
        return self.search.budget.trials if space.has_ranges(self.search.space) else 1

    def rows(self) -> list[Row]:
        """The finished trials, in order of number."""
        return [self.record.rows[number] for number in sorted(self.record.rows)]

    def best(self) -> Row | None:
        """The best complete trial; of equals the one with the fewest parameters, of those the first."""
        return self._best

    def _compare(self, row: Row) -> None:
        sign = -1 if self.maximise else 1

        def place(row: Row) -> tuple[float, int, int]:
            return sign * row.value, row.parameters, row.number

        if row.state == "complete" and (self._best is None or place(row) < place(self._best)):
            self._best = row

    def ask(self) -> list[Proposal]:
        """The next wave: those of its trials that have not ended, drawn by what was known before it; none at the end.

        A trial that an earlier call left unfinished is drawn again, and comes out as it was.
        """
        left = next((number for number in range(self.total) if number not in self.record.rows), None)
        if left is None:
            return []
        asked = []
        with self._at_work():
            numbers = waves.wave(left, self.wave)
            self.advisor.learn(numbers.start)
            for number in numbers:
                if number in self.record.rows:
                    self.advisor.drawn_before(number)
                elif number < self.total:
                    asked.append(Proposal(number, self.advisor.draw(number)))
        return asked

    def judge(self, number: int, watch: Callable[[int], None]) -> Judge:
        """Sees each epoch's mean over the folds, and stops trials that fall behind; `watch` is told of each epoch."""

        def stop(epoch: int, scores: Epoch) -> bool:
            watch(epoch)
            with self._at_work():
                return self.advisor.stops(number, epoch, scores.mean)

        return stop

    def tell(self, proposal: Proposal, outcome: Outcome | Exception, parameters: int, seconds: float) -> Row:
        """Writes down how a trial went."""
        with self._at_work():
            went = record(proposal.number, proposal.candidate, outcome, parameters, seconds)
            row = self.record.append(self.advisor.drawn(proposal.number), went)
            self._compare(row)
        return row

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """One thread at a time, and the seconds counted."""
        with self._lock:
            begin = time.monotonic()
            try:
                yield
            finally:
                self.deciding += time.monotonic() - begin
