"""Optimization history: the score of each trial, and the best so far."""

from collections import Counter

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.trial_points import plot_trials
from pipeline.report.network_selection import build_steps
from pipeline.report.phrases import describe_trial, join_with_and
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.text import pluralize

TRIAL_STATES = ("complete", "pruned", "diverged", "failed")
LATE_FRACTION = 0.8  # of the trials: an improvement after that says that more trials may find more


def plot_optimization_history(table: TrialTable) -> Figure:
    """Return each trial by its number, failed and diverged ones without a score at the edge."""
    x, best = build_steps(table, table.complete_trials, lambda trial: trial.number, table.trials[-1].number)
    series = [Series("best so far", "line", x, [table.clip_score(trial.value) for trial in best])]
    for state in TRIAL_STATES:
        trials = [trial for trial in table.trials if trial.state == state]
        series.append(plot_trials(table, state, "points", trials, lambda trial: trial.number))
    chart = Chart("trial", table.score_axis_title, tuple(each for each in series if each.x))
    return Figure("history", "Optimization history", _format_caption(table), chart)


def _format_caption(table: TrialTable) -> str:
    counts = Counter[str](trial.state for trial in table.trials)
    states = join_with_and([f"{counts[state]} {state}" for state in TRIAL_STATES if counts[state]])
    caption = f"{pluralize(len(table.trials), 'trial')}: {states}. {_describe_best(table)}"
    n_clipped = sum(trial.is_finite and table.clip_score(trial.value) != trial.value for trial in table.trials)
    if not n_clipped:
        return caption
    verb = "is" if n_clipped == 1 else "are"
    return f"{caption} {pluralize(n_clipped, 'trial')} with a far worse score {verb} drawn at the edge."


def _describe_best(table: TrialTable) -> str:
    best = table.best
    first = table.trials[0]
    score = f"The best, {describe_trial(best)}, has {table.format_trial_score(best)}"
    if best is first:
        return f"{score}: it is the first one, the baseline, and no other was better."
    if first.is_finite:
        score += f"; the first one, the baseline, has {table.format_value(first.value)}"
    if best.value == table.metric.perfect_value:
        return f"{score}. No score can be better."
    last = len(table.trials) - 1
    index = table.trials.index(best)  # not its number: numbers may be missing
    if index >= LATE_FRACTION * last:
        return f"{score}. It was found late, so more trials may find a better one."
    return f"{score}. The {pluralize(last - index, 'trial')} after it found nothing better."
