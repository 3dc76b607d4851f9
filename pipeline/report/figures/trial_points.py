"""Trials as a series of a chart, which several figures draw."""

from collections.abc import Callable, Sequence

from pipeline.report.drawing.figure import Series, SeriesKind
from pipeline.report.trials_table import TrialTable
from pipeline.study.trial_record import TrialRecord


def plot_trials(
    table: TrialTable,
    name: str,
    kind: SeriesKind,
    trials: Sequence[TrialRecord],
    measure: Callable[[TrialRecord], int],
    *,
    has_errors: bool = False,
    is_muted: bool = False,
    is_highlighted: bool = False,
) -> Series:
    """Return the scores of trials against a measure of each, clipped to the plot limit; points have a hover text.

    has_errors: with an interval of one standard error to both sides.
    """
    x = [measure(trial) for trial in trials]
    y = [table.clip_score(trial.value) for trial in trials]
    low = [table.clip_score(trial.value - trial.standard_error) for trial in trials] if has_errors else []
    high = [table.clip_score(trial.value + trial.standard_error) for trial in trials] if has_errors else []
    labels = [table.format_hover_text(trial) for trial in trials] if kind == "points" else []
    return Series(name, kind, x, y, low, high, labels, is_muted, is_highlighted)
