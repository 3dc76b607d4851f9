"""The figures of the trials, and the importance of their hyperparameters."""

from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.layers_and_nodes import plot_layers_slice, plot_nodes_slice
from pipeline.report.figures.optimization_history import plot_optimization_history
from pipeline.report.figures.score_vs_parameters import plot_score_vs_parameters
from pipeline.report.figures.training_curves import plot_training_curves
from pipeline.report.phrases import format_percent, join_with_and
from pipeline.report.trials_table import TrialTable
from pipeline.study.importance import MIN_COMPLETE_TRIALS, Importance


def build_trial_figures(table: TrialTable, importances: Sequence[Importance]) -> list[Figure]:
    """Return the figures in the order of the page; importances: the highest first, [] if there are too few trials."""
    return [
        plot_optimization_history(table),
        plot_score_vs_parameters(table),
        plot_param_importances(table, importances),
        plot_layers_slice(table),
        plot_nodes_slice(table),
        plot_training_curves(table),
    ]


def plot_param_importances(table: TrialTable, importances: Sequence[Importance]) -> Figure:
    """Return each hyperparameter's share of the importance, beside its 95 % quantile for shuffled scores."""
    names = [_format_param_name(each.hyperparameter) for each in importances]
    shares = Series("importance", "bars", names, [each.share for each in importances])
    chance = Series("95 % quantile for shuffled scores", "points", names, [each.chance_level for each in importances])
    chart = Chart("hyperparameter", "share of the importance", (shares, chance) if importances else ())
    return Figure("importance", "Hyperparameter importances", _format_caption(table, importances), chart)


def _format_param_name(key: str) -> str:
    """Return the display name of a parameter of Optuna: `model.nodes.0` is "nodes of layer 1"."""
    _, name, *index = key.split(".")
    words = name.replace("_", " ")
    return f"{words} of {'block' if name == 'channels' else 'layer'} {int(index[0]) + 1}" if index else words


def _format_caption(table: TrialTable, importances: Sequence[Importance]) -> str:
    complete = len(table.complete_trials)
    if complete < MIN_COMPLETE_TRIALS and not importances:
        return f"Too few complete trials for importances: {complete}, and {MIN_COMPLETE_TRIALS} are needed."
    if not importances:
        return f"In {complete} complete trials at most one hyperparameter was searched, so there is nothing to compare."
    first = [f"{_format_param_name(each.hyperparameter)} {format_percent(each.share)}" for each in importances[:3]]
    method = f"Importance for being one of the best of {complete} complete trials, by PED-ANOVA"
    level = "the 95 % quantile of the largest share for shuffled scores"
    significant = [each.hyperparameter for each in importances if each.share > each.max_chance_level]
    if not significant:
        return f"{method}: {join_with_and(first)}. None is above {level}, so none is significant."
    names = join_with_and(list(map(_format_param_name, significant)))
    return f"{method}: {join_with_and(first)}. Above {level}: {names}."
