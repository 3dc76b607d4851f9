"""Several studies side by side: how far each network goes, at which size, and what the numbers say of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.config.metrics import METRICS
from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.network_selection import (
    build_front_steps,
    count_layers,
    count_nodes,
    count_parameters,
    resample_one_se_trials,
    select_by_one_se_rule,
)
from pipeline.report.phrases import describe_network, format_percent, join_with_and, pluralize
from pipeline.report.trials_table import TrialTable
from pipeline.study import description
from pipeline.study.description import StudyDescription
from pipeline.study.storage import TrialStorageReader
from pipeline.study.summary import StudySummary
from pipeline.study.trial_record import TrialRecord

LOWER_QUANTILE, UPPER_QUANTILE = 0.1, 0.9  # of the resamplings: 8 of 10 lie between
ABSOLUTE_ERROR = METRICS["mean_absolute_error"]
MIN_DIFFERENCE_IN_ERRORS = (
    2  # standard errors of a difference: at one, of pairs that are equally hard a fourth would be told apart
)
MIN_COMPLETE_TRIALS = 10  # complete trials, before a need for more layers or nodes is said without a warning
TABLE_LEGEND = (
    "Smallest as good: the smallest network within one standard error of the best. 8 of 10 resampled: where its number "
    "of parameters lies when the folds are drawn again."
)
MIN_PLOTTED_SKILL = -0.1  # of the scale as it is drawn: what is far worse than a constant answer stands there


@dataclass(frozen=True)
class ComparedStudy:
    """A finished study, and the smallest network that does as well as its best.

    name: the task, or the study where two are of one task; again: for resampled folds, all that do.
    """

    name: str
    table: TrialTable
    summary: StudySummary
    description: StudyDescription
    smallest: TrialRecord
    resampled_trials: Sequence[Sequence[TrialRecord]]

    @classmethod
    def from_folder(cls, folder: Path, name: str) -> ComparedStudy:
        """From the study's folder; its trials are those that its summary counts."""
        summary: StudySummary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        study_description = description.read_description(folder)
        rows = islice(
            TrialStorageReader(folder, study_description.study).read_new_trials(), summary["trials"]["total"]
        )  # in the order they ended
        table = TrialTable.from_records(rows, summary, study_description.unit)
        return cls(name, table, summary, study_description, select_by_one_se_rule(table), resample_one_se_trials(table))

    def skill_score(self, score: float) -> float:
        """The share of the way from the best constant answer (0) to perfect (1); below 0 where it is worse than that.

        Cohen's kappa divides so (1960, Educ. Psychol. Meas. 20, 37), and so does a skill score in forecasting. The
        constant's score is that in cross-validation: a test part of the data set's own may have other shares of the
        classes. Older descriptions do not have it; then it is that on the test rows.
        """
        described_constant = self.description.constant
        constant = self.summary["majority"]["value"] if described_constant is None else described_constant
        perfect = 1.0 if self.table.maximize else 0.0
        return (score - constant) / (perfect - constant) if constant != perfect else math.nan

    @property
    def best_skill(self) -> float:
        return self.skill_score(self.table.best.value)

    @property
    def feature_extractor(self) -> str:
        """What stands before the hidden layers of its networks."""
        backbone = self.description.architecture["inputs"].get("backbone")
        return backbone or ("convolutions" if "model.channels" in self.table.best.hyperparameters else "nothing")

    def skill_error(self, trial: TrialRecord) -> float:
        """The standard error of a trial's share of the way."""
        return abs(self.skill_score(trial.value + trial.standard_error) - self.skill_score(trial.value))

    def resampled_range(self, measure: Callable[[TrialRecord], int]) -> tuple[int, int]:
        """Between what and what the smallest by that measure lies in 8 of 10 resamplings of the folds."""
        minima = [min(map(measure, rows)) for rows in self.resampled_trials]
        low, high = np.quantile(minima, [LOWER_QUANTILE, UPPER_QUANTILE], method="nearest")
        return int(low), int(high)


def plot_comparison(studies: Sequence[ComparedStudy]) -> Figure:
    """The best up to each size of each study, on one scale; ringed the smallest that is as good as the best."""
    lines = [_plot_front(study) for study in studies]
    highlights = [
        Series(study.name, "points", [study.smallest.n_parameters], [study.skill_score(study.smallest.value)],
               point_labels=[f"{study.name}: {study.table.format_hover_text(study.smallest)}"], is_highlighted=True)
        for study in studies
    ]  # fmt: skip
    chart = Chart("parameters", "share of the way from a constant answer to perfect", (*lines, *highlights), log_x=True)
    title = "Score against size (ringed: the smallest within one standard error)"
    return Figure("compare", title, describe_comparison(studies), chart)


def _plot_front(study: ComparedStudy) -> Series:
    x, best = build_front_steps(study.table)

    def skills_at(error_multiple: int) -> list[float]:
        """So many standard errors from the score."""
        return [
            max(MIN_PLOTTED_SKILL, study.skill_score(trial.value) + error_multiple * study.skill_error(trial))
            for trial in best
        ]

    return Series(study.name, "line", x, skills_at(0), skills_at(-1), skills_at(1))


def build_comparison_table(studies: Sequence[ComparedStudy]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a line a study."""
    headings = ["", "best", "of the way", "smallest as good", "parameters", "8 of 10 resampled"]
    return headings, [
        [
            study.name,
            study.table.format_trial_score(study.table.best),
            format_percent(study.best_skill),
            describe_network(study.smallest),
            f"{study.smallest.n_parameters:,}",
            _format_range(study.resampled_range(count_parameters)),
        ]
        for study in studies
    ]


def _format_range(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def describe_comparison(studies: Sequence[ComparedStudy]) -> str:
    """What the numbers say, also where they do not say it."""
    hardest, *_, easiest = sorted(studies, key=lambda study: study.best_skill)
    is_comparable = hardest.feature_extractor == easiest.feature_extractor
    needs = (
        [_describe_needs(hardest, easiest), _warn_few_trials(studies), _warn_different_inputs(studies)]
        if is_comparable
        else [_explain_incomparable(hardest, easiest)]
    )
    sentences = [_describe_difficulty(hardest, easiest), *needs, _describe_absolute_errors(studies)]
    return " ".join(sentence for sentence in sentences if sentence)


def _explain_incomparable(hardest: ComparedStudy, easiest: ComparedStudy) -> str:
    """Why layers and nodes are not compared."""
    each = " and ".join(f"{study.feature_extractor} in {study.name}" for study in (hardest, easiest))
    return f"What stands before the hidden layers is {each}, so that neither layers nor nodes can be compared."


def _describe_difficulty(hardest: ComparedStudy, easiest: ComparedStudy) -> str:
    reached = f"{format_percent(hardest.best_skill)} of the way from a constant answer to a perfect one"
    other = f"{easiest.name} {format_percent(easiest.best_skill)}"
    if hardest.table.metric != easiest.table.metric:
        judged = join_with_and([study.table.metric.title for study in (hardest, easiest)])
        return f"{hardest.name} gets {reached}, {other}; judged by {judged}, they cannot be called harder or easier."
    error = math.hypot(*(study.skill_error(study.table.best) for study in (hardest, easiest)))
    if easiest.best_skill - hardest.best_skill <= MIN_DIFFERENCE_IN_ERRORS * error:
        return f"{hardest.name} gets {reached}, {other}: neither is clearly the harder."
    return f"{hardest.name} is the harder: it gets {reached}, {other}."


def _describe_needs(hardest: ComparedStudy, easiest: ComparedStudy) -> str:
    """Whether the harder one needs more layers, and more nodes."""
    name, findings = hardest.name, dict[str, list[str]]()
    for quantity, measure in (("hidden layers", count_layers), ("nodes", count_nodes)):
        kind = _compare_needs(hardest, easiest, measure)
        between = f"{_format_range(hardest.resampled_range(measure))} against {_format_range(easiest.resampled_range(measure))}"
        findings.setdefault(kind, []).append(f"{quantity} ({between})")
    parts = {
        "more": f"{name} needs more {{}}.",
        "fewer": f"{name} does with fewer {{}}.",
        "as many": f"{name} needs as many {{}}.",
        "untried": f"Whether {name} needs more {{}} cannot be told, since nothing as small as the other's was tried.",
        "other untried": f"Whether {name} does with fewer {{}} cannot be told: {easiest.name} tried nothing as small.",
        "unclear": f"Whether {name} needs more {{}} cannot be told: the ranges overlap when the folds are drawn again.",
    }
    sentences = [sentence.format(join_with_and(findings[kind])) for kind, sentence in parts.items() if kind in findings]
    return " ".join(sentences)


def _compare_needs(hardest: ComparedStudy, easiest: ComparedStudy, measure: Callable[[TrialRecord], int]) -> str:
    """Of the smallest networks that are as good as the best: ranges that do not touch, and that were looked into."""
    hardest_range, easiest_range = hardest.resampled_range(measure), easiest.resampled_range(measure)
    if hardest_range[0] > easiest_range[1]:
        return "more" if any(measure(row) <= easiest_range[1] for row in hardest.table.complete_trials) else "untried"
    if hardest_range[1] < easiest_range[0]:
        return (
            "fewer"
            if any(measure(row) <= hardest_range[1] for row in easiest.table.complete_trials)
            else "other untried"
        )
    return "as many" if hardest_range == easiest_range and hardest_range[0] == hardest_range[1] else "unclear"


def _warn_few_trials(studies: Sequence[ComparedStudy]) -> str:
    """Whether that stands on so few trials that more of them would probably change it."""
    counts = [len(study.table.complete_trials) for study in studies]
    if min(counts) >= MIN_COMPLETE_TRIALS:
        return ""
    return f"That stands on {join_with_and([f'{count:,}' for count in counts])} complete trials: more may change it."


def _warn_different_inputs(studies: Sequence[ComparedStudy]) -> str:
    distinct_inputs = {json.dumps(study.description.architecture["inputs"], sort_keys=True) for study in studies}
    return "" if len(distinct_inputs) == 1 else "Their inputs differ, so compare nodes rather than parameters."


def _describe_absolute_errors(studies: Sequence[ComparedStudy]) -> str:
    """The mean absolute errors on the held-out test, where all studies have one in the same unit."""
    unit, absolute_errors = studies[0].description.unit, [_get_absolute_error(study) for study in studies]
    known_errors = [error for error in absolute_errors if error is not None]
    if not unit or len(known_errors) < len(studies) or any(study.description.unit != unit for study in studies):
        return ""
    pairs = zip(studies, known_errors, strict=True)
    errors = join_with_and([f"{ABSOLUTE_ERROR.format(error)} {unit} ({study.name})" for study, error in pairs])
    sentence = f"On their held-out rows the winners have a mean absolute error of {errors}"
    rows = {study.description.decides["test_rows"] for study in studies}
    return f"{sentence}{_describe_interval_overlap(studies, known_errors)}{'' if len(rows) == 1 else '; the rows are not the same'}."


def _describe_interval_overlap(studies: Sequence[ComparedStudy], errors: Sequence[float]) -> str:
    """Whether another's error lies within the 95 % interval of the one that has one."""
    for study in studies:
        if study.table.metric == ABSOLUTE_ERROR:
            low, high = study.summary["test"]["low"], study.summary["test"]["high"]
            within = all(low <= error <= high for error in errors)
            between = (
                f"95 % interval of {study.name}, {study.table.format_value(low)} to {study.table.format_value(high)}"
            )
            return f", {'all within' if within else 'not all within'} the {between}"
    return ""


def _get_absolute_error(study: ComparedStudy) -> float | None:
    test = study.summary["test"]
    error = test["value"] if test["metric"] == ABSOLUTE_ERROR.name else test["others"].get(ABSOLUTE_ERROR.name)
    return None if error is None else float(error)


def describe_study(study: ComparedStudy) -> str:
    """Which study it is, in a line under the table."""
    smallest = f"the smallest as good is trial {study.smallest.number}"
    return f"{study.name}: {study.summary['study']}, {pluralize(len(study.table.trials), 'trial')}; {smallest}"
