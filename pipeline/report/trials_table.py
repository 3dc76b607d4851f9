"""The trials of a study as the figures tell of them, and the words that they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.config.metrics import METRICS, Metric
from pipeline.report.phrases import describe_network
from pipeline.study.summary import StudySummary
from pipeline.study.trial_record import TrialRecord

OUTLIER_IQR_FACTOR = 3.0  # quartile ranges from the worse quartile: what lies beyond would press all others together


@dataclass(frozen=True)
class TrialTable:
    """A study's trials in order of number, the best of them, and what their score is.

    unit: of the score, such as years, or "" where it has none.
    """

    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    metric: Metric
    unit: str = ""

    @classmethod
    def from_records(cls, records: Iterable[TrialRecord], summary: StudySummary, unit: str) -> TrialTable:
        """A finished study's trials; unit: of its answers. Numbers may be missing, where its minutes were over."""
        ordered = sorted(records, key=lambda row: row.number)
        (best,) = (row for row in ordered if row.number == summary["best"]["number"])
        metric = METRICS[summary["test"]["metric"]]
        return cls(tuple(ordered), best, metric, unit if metric.in_target_unit else "")

    @property
    def maximize(self) -> bool:
        return self.metric.maximize

    @property
    def complete_trials(self) -> list[TrialRecord]:
        """Those whose score is that of all their epochs."""
        return [trial for trial in self.trials if trial.state == "complete" and trial.is_finite]

    @property
    def score_axis_title(self) -> str:
        """The title of an axis."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.metric.title} in cross-validation{unit}"

    def format_value(self, value: float) -> str:
        """A score with its unit."""
        return f"{self.metric.format(value)} {self.unit}".strip()

    def format_trial_score(self, trial: TrialRecord) -> str:
        """A trial's score, and its standard error."""
        return f"{self.metric.format(trial.value)} ± {self.format_value(trial.standard_error)}"

    def improvement(self, score: float, reference: float) -> float:
        """How much better one score is than another; below 0 where it is worse."""
        return self.metric.improvement(score, reference)

    def select_best(self, trials: Sequence[TrialRecord]) -> TrialRecord:
        """The one with the best score; of equals the one with the fewest parameters."""
        return max(trials, key=lambda trial: (self.improvement(trial.value, 0), -trial.n_parameters, -trial.number))

    @cached_property
    def plot_limit(self) -> float:
        """The worst score of a trial that a figure has room for."""
        return self.compute_plot_limit([trial.value for trial in self.trials if trial.is_finite])

    def compute_plot_limit(self, scores: Sequence[float]) -> float:
        """The worst that a figure of them has room for: a few absurd ones must not press all the others together."""
        values = np.array(scores)
        low, high = np.quantile(values, [0.25, 0.75])
        margin = OUTLIER_IQR_FACTOR * (high - low) or np.ptp(values)
        return float(max(low - margin, values.min()) if self.maximize else min(high + margin, values.max()))

    def clip_score(self, value: float) -> float:
        """Where a score stands in a figure: one that is too bad for it, or none, at the edge."""
        pick = max if self.maximize else min
        return pick(value, self.plot_limit) if np.isfinite(value) else self.plot_limit

    def format_hover_text(self, trial: TrialRecord) -> str:
        """What a point says when it is pointed at."""
        score = f"{self.format_trial_score(trial)}" if trial.is_finite else "no score"
        ending = "" if trial.state == "complete" else f", {trial.state}: {trial.reason}"
        return f"trial {trial.number}: {score}, {describe_network(trial)}, {trial.n_parameters:,} parameters{ending}"
