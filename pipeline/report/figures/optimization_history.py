"""The search as it went: the score of each trial, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series, SeriesKind
from pipeline.report.trials_table import TrialTable, describe_trial, join_with_and, pluralize
from pipeline.study.trial_record import TrialRecord

TRIAL_STATES = ("complete", "pruned", "diverged", "failed")
LATE_FRACTION = 0.8  # of the trials: an improvement after that says that more trials may find more


def plot_optimization_history(table: TrialTable) -> Figure:
    """Each trial by its number; failed and diverged ones without a score stand at the edge."""
    series = [_plot_best_so_far(table), *(_plot_state(table, state) for state in TRIAL_STATES)]
    chart = Chart("trial", table.score_axis_title, tuple(each for each in series if each.x))
    return Figure("history", "The search, trial by trial", _format_caption(table), chart)


def _plot_state(table: TrialTable, state: str) -> Series:
    rows = [row for row in table.trials if row.state == state]
    kind: SeriesKind = "points"
    labels = [table.format_hover_text(row) for row in rows]
    return Series(
        state, kind, [row.number for row in rows], [table.clip_score(row.value) for row in rows], point_labels=labels
    )


def find_improvements(table: TrialTable) -> list[TrialRecord]:
    """The trials that were the best so far when they ended, in order of number."""
    improving: list[TrialRecord] = []
    for trial in table.complete_trials:
        if not improving or table.improvement(trial.value, improving[-1].value) > 0:
            improving.append(trial)
    return improving


def _plot_best_so_far(table: TrialTable) -> Series:
    """Steps: from each improvement level until the next."""
    steps = find_improvements(table)
    ends = [row.number for row in steps[1:]] + [table.trials[-1].number]
    x: Sequence[float] = [place for row, end in zip(steps, ends, strict=True) for place in (row.number, end)]
    return Series("best so far", "line", x, [table.clip_score(row.value) for row in steps for _ in range(2)])


def _format_caption(table: TrialTable) -> str:
    counts = {state: sum(row.state == state for row in table.trials) for state in TRIAL_STATES}
    ended = join_with_and([f"{count} {state}" for state, count in counts.items() if count])
    sentences = [f"{pluralize(len(table.trials), 'trial')}: {ended}.", _describe_best(table)]
    if n_clipped := sum(row.is_finite and table.clip_score(row.value) != row.value for row in table.trials):
        sentences.append(f"{n_clipped} with a far worse score {'stands' if n_clipped == 1 else 'stand'} at the edge.")
    return " ".join(sentences)


def _describe_best(table: TrialTable) -> str:
    best, first = table.best, table.trials[0]
    score = f"The best, {describe_trial(best)}, has {table.format_trial_score(best)}"
    if best is first:
        return f"{score}: it is the first one, the baseline, and no other was better."
    baseline_note = f"; the first one, the baseline, has {table.format_value(first.value)}" if first.is_finite else ""
    if best.value == (1.0 if table.maximize else 0.0):
        return f"{score}{baseline_note}. No score can be better."
    index, last = table.trials.index(best), len(table.trials) - 1  # numbers may be missing
    if index >= LATE_FRACTION * last:
        return f"{score}{baseline_note}. It came late, so more trials may well find a better one."
    return f"{score}{baseline_note}. The {pluralize(last - index, 'trial')} after it found nothing better."
