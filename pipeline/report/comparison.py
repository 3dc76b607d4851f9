"""Several studies side by side: how far each network goes, at which size, and what the numbers say of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.score_vs_parameters import layers, resampled, smallest, steps, width
from pipeline.report.trials_table import METRICS, Tried, listed, many, percent, widths
from pipeline.study import description
from pipeline.study.description import Description
from pipeline.study.storage import Reader
from pipeline.study.summary import Summary
from pipeline.study.trial_record import Row
from pipeline.tuner.live_display import number

FEW, MOST = 0.1, 0.9  # of the resamplings: 8 of 10 lie between
CLEAR = 2  # standard errors of a difference: at one, of pairs that are equally hard a fourth would be told apart
ENOUGH = 10  # complete trials, before a need for more layers or nodes is said without a warning
LEGEND = (
    "Smallest as good: the smallest network within one standard error of the best. 8 of 10 resampled: where its number "
    "of parameters lies when the folds are drawn again."
)
FLOOR = -0.1  # of the scale as it is drawn: what is far worse than a constant answer stands there


@dataclass(frozen=True)
class Compared:
    """A finished study, and the smallest network that does as well as its best.

    name: the task, or the study where two are of one task; again: for resampled folds, all that do.
    """

    name: str
    tried: Tried
    summary: Summary
    described: Description
    least: Row
    again: Sequence[Sequence[Row]]

    @classmethod
    def read(cls, folder: Path, name: str) -> Compared:
        """From the study's folder; its trials are those that its summary counts."""
        summary: Summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        described = description.read(folder)
        rows = islice(Reader(folder, described.study).rows(), summary["trials"]["total"])  # in the order they ended
        tried = Tried.of(rows, summary, described.unit)
        return cls(name, tried, summary, described, smallest(tried), resampled(tried))

    def way(self, score: float) -> float:
        """The share of the way from the best constant answer (0) to perfect (1); below 0 where it is worse than that.

        Cohen's kappa divides so (1960, Educ. Psychol. Meas. 20, 37), and so does a skill score in forecasting. The
        constant's score is that in cross-validation: a test part of the data set's own may have other shares of the
        classes. Older descriptions do not have it; then it is that on the test rows.
        """
        described = self.described.constant
        constant = self.summary["majority"]["value"] if described is None else described
        perfect = 1.0 if self.tried.maximise else 0.0
        return (score - constant) / (perfect - constant) if constant != perfect else math.nan

    @property
    def reached(self) -> float:
        return self.way(self.tried.best.value)

    @property
    def before(self) -> str:
        """What stands before the hidden layers of its networks."""
        backbone = self.described.architecture["inputs"].get("backbone")
        return backbone or ("convolutions" if "model.channels" in self.tried.best.fields else "nothing")

    def error_of(self, row: Row) -> float:
        """The standard error of a trial's share of the way."""
        return abs(self.way(row.value + row.standard_error) - self.way(row.value))

    def between(self, measure: Callable[[Row], int]) -> tuple[int, int]:
        """Between what and what the smallest by that measure lies in 8 of 10 resamplings of the folds."""
        least = [min(map(measure, rows)) for rows in self.again]
        low, high = np.quantile(least, [FEW, MOST], method="nearest")
        return int(low), int(high)


def parameters(row: Row) -> int:
    """How many numbers a trial's network has learned."""
    return row.parameters


def figure(studies: Sequence[Compared]) -> Figure:
    """The best up to each size of each study, on one scale; ringed the smallest that is as good as the best."""
    lines = [_line(study) for study in studies]
    rings = [
        Series(study.name, "points", [study.least.parameters], [study.way(study.least.value)],
               labels=[f"{study.name}: {study.tried.label(study.least)}"], ring=True)
        for study in studies
    ]  # fmt: skip
    drawn = Chart("parameters", "share of the way from a constant answer to perfect", (*lines, *rings), log_x=True)
    title = "Score against size (ringed: the smallest within one standard error)"
    return Figure("compare", title, words(studies), drawn)


def _line(study: Compared) -> Series:
    x, best = steps(study.tried)

    def drawn(errors: int) -> list[float]:
        """So many standard errors from the score."""
        return [max(FLOOR, study.way(row.value) + errors * study.error_of(row)) for row in best]

    return Series(study.name, "line", x, drawn(0), drawn(-1), drawn(1))


def table(studies: Sequence[Compared]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a line a study."""
    headings = ["", "best", "of the way", "smallest as good", "parameters", "8 of 10 resampled"]
    return headings, [
        [
            study.name,
            study.tried.sure(study.tried.best),
            percent(study.reached),
            widths(study.least),
            f"{study.least.parameters:,}",
            _range(study.between(parameters)),
        ]
        for study in studies
    ]


def _range(between: tuple[int, int]) -> str:
    low, high = between
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def words(studies: Sequence[Compared]) -> str:
    """What the numbers say, also where they do not say it."""
    hardest, *_, easiest = sorted(studies, key=lambda study: study.reached)
    alike = hardest.before == easiest.before
    needs = [_needs(hardest, easiest), _few(studies), _inputs(studies)] if alike else [_unlike(hardest, easiest)]
    said = [_harder(hardest, easiest), *needs, _in_one_unit(studies)]
    return " ".join(sentence for sentence in said if sentence)


def _unlike(hardest: Compared, easiest: Compared) -> str:
    """Why layers and nodes are not compared."""
    each = " and ".join(f"{study.before} in {study.name}" for study in (hardest, easiest))
    return f"What stands before the hidden layers is {each}, so that neither layers nor nodes can be compared."


def _harder(hardest: Compared, easiest: Compared) -> str:
    reached = f"{percent(hardest.reached)} of the way from a constant answer to a perfect one"
    other = f"{easiest.name} {percent(easiest.reached)}"
    if hardest.tried.metric != easiest.tried.metric:
        judged = listed([METRICS[study.tried.metric] for study in (hardest, easiest)])
        return f"{hardest.name} gets {reached}, {other}; judged by {judged}, they cannot be called harder or easier."
    error = math.hypot(*(study.error_of(study.tried.best) for study in (hardest, easiest)))
    if easiest.reached - hardest.reached <= CLEAR * error:
        return f"{hardest.name} gets {reached}, {other}: neither is clearly the harder."
    return f"{hardest.name} is the harder: it gets {reached}, {other}."


def _needs(hardest: Compared, easiest: Compared) -> str:
    """Whether the harder one needs more layers, and more nodes."""
    name, found = hardest.name, dict[str, list[str]]()
    for what, measure in (("hidden layers", layers), ("nodes", width)):
        kind = _more(hardest, easiest, measure)
        between = f"{_range(hardest.between(measure))} against {_range(easiest.between(measure))}"
        found.setdefault(kind, []).append(f"{what} ({between})")
    parts = {
        "more": f"{name} needs more {{}}.",
        "fewer": f"{name} does with fewer {{}}.",
        "as many": f"{name} needs as many {{}}.",
        "untried": f"Whether {name} needs more {{}} cannot be told, since nothing as small as the other's was tried.",
        "other untried": f"Whether {name} does with fewer {{}} cannot be told: {easiest.name} tried nothing as small.",
        "unclear": f"Whether {name} needs more {{}} cannot be told: the ranges overlap when the folds are drawn again.",
    }
    said = [sentence.format(listed(found[kind])) for kind, sentence in parts.items() if kind in found]
    return " ".join(said)


def _more(hardest: Compared, easiest: Compared, measure: Callable[[Row], int]) -> str:
    """Of the smallest networks that are as good as the best: ranges that do not touch, and that were looked into."""
    hard, easy = hardest.between(measure), easiest.between(measure)
    if hard[0] > easy[1]:
        return "more" if any(measure(row) <= easy[1] for row in hardest.tried.complete) else "untried"
    if hard[1] < easy[0]:
        return "fewer" if any(measure(row) <= hard[1] for row in easiest.tried.complete) else "other untried"
    return "as many" if hard == easy and hard[0] == hard[1] else "unclear"


def _few(studies: Sequence[Compared]) -> str:
    """Whether that stands on so few trials that more of them would probably change it."""
    counts = [len(study.tried.complete) for study in studies]
    if min(counts) >= ENOUGH:
        return ""
    return f"That stands on {listed([f'{count:,}' for count in counts])} complete trials: more may change it."


def _inputs(studies: Sequence[Compared]) -> str:
    seen = {json.dumps(study.described.architecture["inputs"], sort_keys=True) for study in studies}
    return "" if len(seen) == 1 else "Their inputs differ, so compare nodes rather than parameters."


def _in_one_unit(studies: Sequence[Compared]) -> str:
    """The mean absolute errors on the held-out test, where all studies have one in the same unit."""
    unit, off = studies[0].described.unit, [_absolute_error(study) for study in studies]
    known = [error for error in off if error is not None]
    if not unit or len(known) < len(studies) or any(study.described.unit != unit for study in studies):
        return ""
    pairs = zip(studies, known, strict=True)
    errors = listed([f"{number(error, 'mean_absolute_error')} {unit} ({study.name})" for study, error in pairs])
    said = f"On their held-out rows the winners have a mean absolute error of {errors}"
    rows = {study.described.decides["test_rows"] for study in studies}
    return f"{said}{_apart(studies, known)}{'' if len(rows) == 1 else '; the rows are not the same'}."


def _apart(studies: Sequence[Compared], errors: Sequence[float]) -> str:
    """Whether another's error lies within the 95 % interval of the one that has one."""
    for study in studies:
        if study.tried.metric == "mean_absolute_error":
            low, high = study.summary["test"]["low"], study.summary["test"]["high"]
            within = all(low <= error <= high for error in errors)
            between = f"95 % interval of {study.name}, {study.tried.says(low)} to {study.tried.says(high)}"
            return f", {'all within' if within else 'not all within'} the {between}"
    return ""


def _absolute_error(study: Compared) -> float | None:
    test = study.summary["test"]
    found = test["value"] if test["metric"] == "mean_absolute_error" else test["others"].get("mean_absolute_error")
    return None if found is None else float(found)


def trials(study: Compared) -> str:
    """Which study it is, in a line under the table."""
    least = f"the smallest as good is trial {study.least.number}"
    return f"{study.name}: {study.summary['study']}, {many(len(study.tried.rows), 'trial')}; {least}"
