"""Comparison of finished studies: skill score against number of parameters, and whether harder tasks need more."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.config.metrics import METRICS
from pipeline.report import network_selection
from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.phrases import describe_network, format_percent, join_with_and
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.text import pluralize
from pipeline.study.description import StudyDescription, read_description
from pipeline.study.storage import TrialStorageReader
from pipeline.study.summary import SUMMARY_FILE, StudySummary
from pipeline.study.trial_record import TrialRecord

RESAMPLE_QUANTILES = (0.1, 0.9)
ABSOLUTE_ERROR = METRICS["mean_absolute_error"]
# Standard errors of a difference; with one, a quarter of the pairs of equally hard tasks would differ.
MIN_DIFFERENCE_IN_ERRORS = 2
MIN_COMPLETE_TRIALS = 10  # with fewer, a need for more layers or nodes is reported with a warning
TABLE_LEGEND = (
    "Skill score: 0 % for the constant baseline, 100 % for perfect predictions. Smallest within 1 SE: smallest network "
    "within one standard error of the best. 80 % of resamples: the range of its parameters over resamples of the folds."
)
MIN_PLOTTED_SKILL = -0.1  # scores far below the constant baseline are drawn here


@dataclass(frozen=True)
class ComparedStudy:
    """A finished study, and its smallest network within one standard error of the best.

    name: the task, or the study if two have one task; resampled_trials: all trials within one standard error of the
    best, for each resample of the folds.
    """

    name: str
    table: TrialTable
    summary: StudySummary
    description: StudyDescription
    smallest: TrialRecord
    resampled_trials: Sequence[Sequence[TrialRecord]]

    @classmethod
    def from_folder(cls, folder: Path, name: str) -> ComparedStudy:
        """Return the study in a folder, with the trials that its summary counts."""
        summary = StudySummary.from_json((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        description = read_description(folder)
        reader = TrialStorageReader(folder, description.study)
        trials = islice(reader.read_new_trials(), summary.trials.total)  # in the order they ended
        table = TrialTable.from_records(trials, summary, description.unit)
        smallest = network_selection.select_by_one_se_rule(table)
        resampled_trials = network_selection.resample_one_se_trials(table)
        return cls(name, table, summary, description, smallest, resampled_trials)

    def skill_score(self, score: float) -> float:
        """Return the skill score: 0 for the constant baseline, 1 for perfect predictions, below 0 if it is worse.

        Normalized like Cohen's kappa (1960, Educ. Psychol. Meas. 20, 37) and the skill scores of forecasting. The
        baseline's score is that in cross-validation, since a predefined test set may have other class frequencies;
        older descriptions lack it, and then it is that on the test set.
        """
        described = self.description.constant
        constant = self.summary.constant_baseline.value if described is None else described
        perfect = self.table.metric.perfect_value
        return (score - constant) / (perfect - constant) if constant != perfect else math.nan

    @property
    def best_skill(self) -> float:
        """Return the skill score of the best trial."""
        return self.skill_score(self.table.best.value)

    @property
    def feature_extractor(self) -> str:
        """Return what computes the input of the hidden layers: a backbone, convolutions or nothing."""
        backbone = self.description.architecture["inputs"].get("backbone")
        return backbone or ("convolutions" if "model.channels" in self.table.best.hyperparameters else "nothing")

    def skill_error(self, trial: TrialRecord) -> float:
        """Return the standard error of a trial's skill score."""
        return abs(self.skill_score(trial.value + trial.standard_error) - self.skill_score(trial.value))

    @property
    def absolute_error(self) -> float | None:
        """Return the mean absolute error of the winner on the test set, or None if it predicts no numbers."""
        test = self.summary.test
        return test.value if test.metric == ABSOLUTE_ERROR.name else test.others.get(ABSOLUTE_ERROR.name)

    def resampled_range(self, measure: Callable[[TrialRecord], int]) -> tuple[int, int]:
        """Return the 10 % and 90 % quantile of the smallest measure over the resamples of the folds."""
        minima = [min(map(measure, trials)) for trials in self.resampled_trials]
        low, high = np.quantile(minima, RESAMPLE_QUANTILES, method="nearest")
        return int(low), int(high)


def plot_comparison(studies: Sequence[ComparedStudy]) -> Figure:
    """Return the best skill score up to each size for each study, the smallest as good highlighted."""
    series = list(map(_plot_front, studies))
    for study in studies:
        x = [study.smallest.n_parameters]
        y = [study.skill_score(study.smallest.value)]
        labels = [f"{study.name}: {study.table.format_hover_text(study.smallest)}"]
        series.append(Series(study.name, "points", x, y, point_labels=labels, is_highlighted=True))
    chart = Chart("parameters", "skill score", tuple(series), log_x=True)
    title = "Skill score against number of parameters (open marker: smallest within one standard error)"
    return Figure("compare", title, describe_comparison(studies), chart)


def _plot_front(study: ComparedStudy) -> Series:
    x, best = network_selection.build_front_steps(study.table)
    skills = np.array([study.skill_score(trial.value) for trial in best])
    errors = np.array([study.skill_error(trial) for trial in best])
    clipped = [np.maximum(MIN_PLOTTED_SKILL, each).tolist() for each in (skills, skills - errors, skills + errors)]
    return Series(study.name, "line", x, *clipped)


def build_comparison_table(studies: Sequence[ComparedStudy]) -> tuple[list[str], list[list[str]]]:
    """Return the headings, and one line per study."""
    headings = ["", "best", "skill score", "smallest within 1 SE", "parameters", "80 % of resamples"]
    lines = []
    for study in studies:
        best = [study.table.format_trial_score(study.table.best), format_percent(study.best_skill)]
        smallest = [describe_network(study.smallest), f"{study.smallest.n_parameters:,}"]
        resampled = _format_range(study.resampled_range(network_selection.count_parameters))
        lines.append([study.name, *best, *smallest, resampled])
    return headings, lines


def _format_range(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def describe_comparison(studies: Sequence[ComparedStudy]) -> str:
    """Return which task is harder, and whether it needs more layers or nodes, or why that is undecided."""
    hardest, *_, easiest = sorted(studies, key=lambda study: study.best_skill)
    extractors = " and ".join(f"{study.feature_extractor} in {study.name}" for study in (hardest, easiest))
    needs = [f"The hidden layers follow {extractors}, so layers and nodes cannot be compared."]
    if hardest.feature_extractor == easiest.feature_extractor:
        needs = [_describe_needs(hardest, easiest)]
        counts = [len(study.table.complete_trials) for study in studies]
        if min(counts) < MIN_COMPLETE_TRIALS:
            listed = join_with_and([f"{count:,}" for count in counts])
            needs.append(f"With only {listed} complete trials, more may change this.")
        if len({json.dumps(study.description.architecture["inputs"], sort_keys=True) for study in studies}) > 1:
            needs.append("Their inputs differ, so compare nodes rather than parameters.")
    sentences = [_describe_difficulty(hardest, easiest), *needs, _describe_absolute_errors(studies)]
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_difficulty(hardest: ComparedStudy, easiest: ComparedStudy) -> str:
    scores = join_with_and([f"{format_percent(study.best_skill)} ({study.name})" for study in (hardest, easiest)])
    skills = f"The skill scores are {scores}"
    if hardest.table.metric != easiest.table.metric:
        metrics = join_with_and([study.table.metric.title for study in (hardest, easiest)])
        return f"{skills}; with different metrics ({metrics}), neither task can be called harder."
    error = math.hypot(*(study.skill_error(study.table.best) for study in (hardest, easiest)))
    if easiest.best_skill - hardest.best_skill <= MIN_DIFFERENCE_IN_ERRORS * error:
        return f"{skills}: neither task is clearly harder."
    return f"{skills}: {hardest.name} is harder."


def _describe_needs(hardest: ComparedStudy, easiest: ComparedStudy) -> str:
    name = hardest.name
    findings = dict[str, list[str]]()
    measures = {"hidden layers": network_selection.count_layers, "nodes": network_selection.count_nodes}
    for quantity, measure in measures.items():
        kind = _compare_needs(hardest, easiest, measure)
        ranges = [_format_range(study.resampled_range(measure)) for study in (hardest, easiest)]
        findings.setdefault(kind, []).append(f"{quantity} ({' against '.join(ranges)})")
    parts = {
        "more": f"{name} needs more {{}}.",
        "fewer": f"{name} needs fewer {{}}.",
        "as many": f"{name} needs as many {{}}.",
        "untried": f"Whether {name} needs more {{}} is unknown: no trial of it is as small as those of {easiest.name}.",
        "other untried": f"Whether {name} needs fewer {{}} is unknown: no trial of {easiest.name} is as small.",
        "unclear": f"Whether {name} needs more {{}} is unclear: the ranges over the resamples of the folds overlap.",
    }
    return " ".join(text.format(join_with_and(findings[kind])) for kind, text in parts.items() if kind in findings)


def _compare_needs(hardest: ComparedStudy, easiest: ComparedStudy, measure: Callable[[TrialRecord], int]) -> str:
    """Return how the ranges of the smallest networks differ, "untried" if a study has no trial as small."""
    hardest_range = hardest.resampled_range(measure)
    easiest_range = easiest.resampled_range(measure)
    if hardest_range[0] > easiest_range[1]:
        return "more" if min(map(measure, hardest.table.complete_trials)) <= easiest_range[1] else "untried"
    if hardest_range[1] < easiest_range[0]:
        return "fewer" if min(map(measure, easiest.table.complete_trials)) <= hardest_range[1] else "other untried"
    return "as many" if hardest_range == easiest_range and hardest_range[0] == hardest_range[1] else "unclear"


def _describe_absolute_errors(studies: Sequence[ComparedStudy]) -> str:
    """Return the mean absolute errors on the test sets, or "" unless all studies have one in the same unit."""
    errors = [study.absolute_error for study in studies if study.absolute_error is not None]
    unit = studies[0].description.unit
    if not unit or len(errors) < len(studies) or any(study.description.unit != unit for study in studies):
        return ""
    pairs = zip(studies, errors, strict=True)
    listed = join_with_and([f"{ABSOLUTE_ERROR.format(error)} {unit} ({study.name})" for study, error in pairs])
    sentence = f"On the test set the winners have a mean absolute error of {listed}"
    with_interval = [study for study in studies if study.table.metric == ABSOLUTE_ERROR]
    if with_interval:
        first = with_interval[0]
        test = first.summary.test
        within = "all" if all(test.low <= error <= test.high for error in errors) else "not all"
        ends = " to ".join(map(first.table.format_value, (test.low, test.high)))
        sentence += f", {within} within the 95 % interval of {first.name}, {ends}"
    test_sets = {study.description.decides["test_rows"] for study in studies}
    return f"{sentence}." if len(test_sets) == 1 else f"{sentence}; the test sets differ."


def describe_study(study: ComparedStudy) -> str:
    """Return the name of a study, its number of trials and its smallest network within one standard error."""
    n_trials = pluralize(len(study.table.trials), "trial")
    return f"{study.name}: {study.summary.study}, {n_trials}; smallest within 1 SE: trial {study.smallest.number}"
