"""Trials of a finished study with their metric and best trial, as the figures read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.config.metrics import METRICS, Metric
from pipeline.report.phrases import add_unit, describe_network
from pipeline.study.summary import StudySummary
from pipeline.study.trial_record import TrialRecord

# Interquartile ranges from the worse quartile; a score beyond would compress the axis for all others.
OUTLIER_IQR_FACTOR = 3.0


@dataclass(frozen=True)
class TrialTable:
    """Trials of a study in order of number, the best of them, and their metric.

    unit: of the score, such as years, or "" if it has none.
    """

    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    metric: Metric
    unit: str = ""

    @classmethod
    def from_records(cls, records: Iterable[TrialRecord], summary: StudySummary, unit: str) -> TrialTable:
        """Return the trials of a finished study; unit: of the target."""
        ordered = sorted(records, key=lambda trial: trial.number)  # some are missing if budget.minutes ended the search
        (best,) = (trial for trial in ordered if trial.number == summary.best.number)
        metric = METRICS[summary.test.metric]
        return cls(tuple(ordered), best, metric, unit if metric.in_target_unit else "")

    @property
    def complete_trials(self) -> list[TrialRecord]:
        """Return the trials that trained all epochs and have a finite score."""
        return [trial for trial in self.trials if trial.state == "complete" and trial.is_finite]

    @property
    def score_axis_title(self) -> str:
        """Return the title of an axis of cross-validation scores."""
        return add_unit(f"{self.metric.title} in cross-validation", self.unit)

    def format_value(self, value: float) -> str:
        """Return a score with its unit."""
        return f"{self.metric.format(value)} {self.unit}".strip()

    def format_trial_score(self, trial: TrialRecord) -> str:
        """Return the cross-validation score of a trial ± its standard error."""
        return f"{self.metric.format(trial.value)} ± {self.format_value(trial.standard_error)}"

    def improvement(self, score: float, reference: float) -> float:
        """Return by how much a score is better than a reference; negative if it is worse."""
        return self.metric.improvement(score, reference)

    def select_best(self, trials: Sequence[TrialRecord]) -> TrialRecord:
        """Return the trial with the best score; of equal ones that with the fewest parameters."""
        return min(trials, key=lambda trial: trial.rank(self.metric))

    @cached_property
    def plot_limit(self) -> float:
        """Return the worst score that a figure of all trials shows to scale."""
        return self.compute_plot_limit([trial.value for trial in self.trials if trial.is_finite])

    def compute_plot_limit(self, scores: Sequence[float]) -> float:
        """Return the worst of these scores that a figure shows to scale; outliers are drawn at the edge."""
        values = np.array(scores)
        low, high = np.quantile(values, [0.25, 0.75])
        margin = OUTLIER_IQR_FACTOR * (high - low) or np.ptp(values)
        return float(max(low - margin, values.min()) if self.metric.maximize else min(high + margin, values.max()))

    def clip_score(self, value: float) -> float:
        """Return a score as drawn: outliers and scores that are not finite at the edge."""
        pick = max if self.metric.maximize else min
        return pick(value, self.plot_limit) if np.isfinite(value) else self.plot_limit

    def format_hover_text(self, trial: TrialRecord) -> str:
        """Return the hover text of a trial's point."""
        score = self.format_trial_score(trial) if trial.is_finite else "no score"
        ending = "" if trial.state == "complete" else f", {trial.state}: {trial.reason}"
        return f"trial {trial.number}: {score}, {describe_network(trial)}, {trial.n_parameters:,} parameters{ending}"
