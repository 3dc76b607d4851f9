"""Score against number of parameters, with the smallest network within one standard error of the best."""

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.trial_points import plot_trials
from pipeline.report.network_selection import build_front_steps, count_parameters, select_by_one_se_rule
from pipeline.report.phrases import describe_trial
from pipeline.report.trials_table import TrialTable
from pipeline.study.trial_record import TrialRecord


def plot_score_vs_parameters(table: TrialTable) -> Figure:
    """Return each complete trial by its size, the best up to each size, the winner and the smallest as good."""
    smallest = select_by_one_se_rule(table)
    x, best = build_front_steps(table)
    highlighted = {"winner": table.best, "smallest within 1 SE": smallest}
    if smallest is table.best:
        highlighted = {"winner, also smallest within 1 SE": smallest}
    trials = table.complete_trials
    series = [
        plot_trials(table, "complete trials", "points", trials, count_parameters, has_errors=True, is_muted=True),
        Series("best up to this size", "line", x, [table.clip_score(trial.value) for trial in best]),
    ]
    for name, trial in highlighted.items():
        series.append(plot_trials(table, name, "points", [trial], count_parameters, is_highlighted=True))
    chart = Chart("parameters", table.score_axis_title, tuple(series), log_x=True)
    return Figure("size", "Score against number of parameters", _format_caption(table, smallest), chart)


def _format_caption(table: TrialTable, smallest: TrialRecord) -> str:
    best = table.best
    sizes = set(map(count_parameters, table.complete_trials))
    score = table.format_trial_score(best)
    winner = f"The winner, {describe_trial(best)}, has {best.n_parameters:,} parameters and {score}."
    if len(sizes) == 1:
        return f"{winner} Every complete trial has that size, so other sizes cannot be compared."
    if smallest is best:
        return f"{winner} No smaller network of the search is within one standard error of it."
    ratio = _format_ratio(best.n_parameters / smallest.n_parameters)
    score = table.format_trial_score(smallest)
    facts = f"{describe_trial(smallest)}, with {score} and {smallest.n_parameters:,} parameters: {ratio}"
    caption = f"{winner} The smallest network within one standard error of it is {facts}."
    if smallest.n_parameters > min(sizes):
        return caption
    return f"{caption} No trial has a smaller one: a search space with smaller networks may do as well."


def _format_ratio(ratio: float) -> str:
    if ratio < 1.05:
        return "about as many"
    return f"{ratio:.2g} times fewer" if ratio < 100 else f"{ratio:,.0f} times fewer"
