"""A finished trial: what was tried, how it went, and the plain record that it is kept as."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.training.epoch import Epoch

if TYPE_CHECKING:
    from pipeline.study.space import Candidate
    from pipeline.training.trial_state import Outcome

State = Literal["complete", "pruned", "failed", "diverged"]
REASONS = {
    "complete": "all epochs done",
    "patience": "no better mean score for training.patience epochs",
    "pruned": "behind the other trials",
    "diverged": "the loss or a score was not a finite number",
}


@dataclass(frozen=True)
class Row:
    """A finished trial, as the record keeps it.

    value: the mean over the folds at `epoch`, the best of the mean curve (from 1; 0 and NaN where there is none);
    folds: each fold's score there; curve: for each epoch its mean training loss and its score on each fold;
    parameters: learned numbers of one fold's network; ended: seconds since 1970 (UTC); repeats: how often all rows were
    drawn into folds.
    """

    number: int
    state: State
    value: float
    epoch: int
    fields: Mapping[str, Any]
    folds: tuple[float, ...]
    curve: tuple[Epoch, ...]
    reason: str
    parameters: int
    seconds: float
    ended: float
    repeats: int = 1

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value)

    @property
    def parts(self) -> int:
        """Into how many folds the rows are drawn at a time: so many scores come from rows of their own."""
        return len(self.folds) // self.repeats

    @property
    def standard_error(self) -> float:
        """Of the mean over the folds.

        Repeats judge by the same rows again, and what they add to the certainty is not new rows: divided by the root of
        all scores, it would go to 0 with more of them (Nadeau, Bengio 2003, Machine Learning 52, 239). So the spread of
        all is divided by the root of those of one drawing.
        """
        return statistics.stdev(self.folds) / math.sqrt(self.parts)

    @property
    def cause(self) -> str:
        """Of a failed trial, what kind of error it died of."""
        return self.reason.removeprefix("WorkerError: ").partition(":")[0]


def record(
    number: int,
    candidate: Candidate,
    outcome: Outcome | Exception,
    parameters: int,
    seconds: float,
    repeats: int,
) -> dict[str, Any]:
    """How a trial went, in plain words and numbers; a NaN or an exception is never a score."""
    facts = {
        "number": number,
        "fields": dict(candidate.fields),
        "parameters": parameters,
        "seconds": seconds,
        "ended": time.time(),
        "repeats": repeats,
    }
    if isinstance(outcome, Exception):
        reason = f"{type(outcome).__name__}: {outcome}".splitlines()[0]
        return facts | {"state": "failed", "value": None, "epoch": 0, "curve": [], "reason": reason}
    return facts | {
        "state": outcome.ending if outcome.ending in ("pruned", "diverged") else "complete",
        "value": outcome.value if outcome.best else None,
        "epoch": outcome.best,
        "curve": [epoch.plain for epoch in outcome.epochs],
        "reason": REASONS[outcome.ending],
    }


def repeated(record: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The record of a trial that tries what another has tried: it is not trained again."""
    reason = f"a repeat of trial {record['number']}: {record['reason']}"
    return {**record, "number": number, "reason": reason, "seconds": 0.0, "ended": time.time()}


def row_of(record: Mapping[str, Any]) -> Row:
    """The trial that a record tells of."""
    curve = Epoch.curve(record["curve"])
    return Row(
        number=record["number"],
        state=record["state"],
        value=math.nan if record["value"] is None else record["value"],
        epoch=record["epoch"],
        fields=record["fields"],
        folds=curve[record["epoch"] - 1].folds if record["epoch"] else (),
        curve=curve,
        reason=record["reason"],
        parameters=record["parameters"],
        seconds=record["seconds"],
        ended=record["ended"],
        repeats=record.get("repeats", 1),  # older records tell nothing of them
    )
