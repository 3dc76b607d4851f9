"""The search itself: what is tried next, who may stop it, how it went; the record of a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import optuna

from pipeline.config.schema import Search
from pipeline.study import proposal_batches, space
from pipeline.study.sampling import Advisor
from pipeline.study.space import Candidate
from pipeline.study.storage import Record
from pipeline.study.trial_record import Row, record, repeated, row_of
from pipeline.training.trial_state import Judge, Outcome


@dataclass(frozen=True)
class Proposal:
    """What is to be tried under which number.

    same_as: the number of an earlier trial, of the same wave at the latest, that tries the same.
    """

    number: int
    candidate: Candidate
    same_as: int | None = None


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
        self._first: dict[tuple[Any, ...], int] = {}
        for row in self.rows():
            self._take(row)

    @property
    def total(self) -> int:
        """How many trials the study is to have; without a range there is one thing to try."""
        return self.search.budget.trials if space.has_ranges(self.search.space) else 1

    def rows(self) -> list[Row]:
        """The finished trials, in order of number."""
        return [self.record.rows[number] for number in sorted(self.record.rows)]

    def has(self, number: int) -> bool:
        """Whether a trial has ended."""
        return number in self.record.rows

    def best(self) -> Row | None:
        """The best complete trial; of equals the one with the fewest parameters, of those the first."""
        return self._best

    def _leads(self, row: Row) -> bool:
        """Whether a trial is better than all others."""
        sign = -1 if self.maximise else 1

        def place(row: Row) -> tuple[float, int, int]:
            return sign * row.value, row.parameters, row.number

        return row.state == "complete" and (self._best is None or place(row) < place(self._best))

    def _take(self, row: Row) -> None:
        if self._leads(row):
            self._best = row
        self._tried(row.fields, row.number)

    def _tried(self, fields: Mapping[str, Any], number: int) -> int:
        """The number of the first trial that tries this."""
        key = tuple(fields.values())
        self._first[key] = min(number, self._first.get(key, number))
        return self._first[key]

    def ask(self) -> list[Proposal]:
        """The next wave: those of its trials that have not ended, drawn by what was known before it; none at the end.

        A trial that an earlier call left unfinished is drawn again, and comes out as it was.
        """
        left = next((number for number in range(self.total) if number not in self.record.rows), None)
        if left is None:
            return []
        asked = []
        with self._at_work():
            numbers = proposal_batches.wave(left, self.wave)
            self.advisor.learn(numbers.start)
            for number in numbers:
                if number in self.record.rows:
                    self.advisor.drawn_before(number)
                elif number < self.total:
                    candidate = self.advisor.draw(number)
                    first = self._tried(candidate.fields, number)
                    asked.append(Proposal(number, candidate, first if first < number else None))
        return asked

    def judge(self, number: int, watch: Callable[[int], None]) -> Judge:
        """Sees each epoch's mean over the folds, and stops trials that fall behind; `watch` is told of each epoch."""

        def stop(means: Sequence[float]) -> bool:
            watch(len(means))
            with self._at_work():
                return self.advisor.stops(number, means)

        return stop

    def tell(
        self,
        proposal: Proposal,
        outcome: Outcome | Exception,
        parameters: int,
        seconds: float,
        keep: Callable[[], None] = lambda: None,
    ) -> Row:
        """Writes down how a trial went; keep: called before, if it becomes the best.

        So the weights of the best trial are there whenever the process is killed.
        """
        with self._at_work():
            went = record(proposal.number, proposal.candidate, outcome, parameters, seconds, self.search.cv.repeats)
            if self._leads(row_of(went)):
                keep()
            return self._append(proposal, went)

    def repeat(self, proposal: Proposal) -> Row:
        """Writes down a trial that tries what an earlier one has tried: it went as that one did."""
        assert proposal.same_as is not None
        with self._at_work():
            before = self.record.trials[proposal.same_as].user_attrs["record"]
            return self._append(proposal, repeated(before, proposal.number))

    def _append(self, proposal: Proposal, went: Mapping[str, Any]) -> Row:
        row = self.record.append(self.advisor.drawn(proposal.number), went)
        self._take(row)
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
