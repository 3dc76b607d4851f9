"""The figures that the record of the trials gives, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.layers_and_nodes import plot_layers_slice, plot_nodes_slice
from pipeline.report.figures.optimization_history import plot_optimization_history
from pipeline.report.figures.score_vs_parameters import plot_score_vs_parameters
from pipeline.report.figures.training_curves import plot_training_curves
from pipeline.report.trials_table import TrialTable, format_percent, join_with_and
from pipeline.study.importance import MIN_COMPLETE_TRIALS, Importance


def build_trial_figures(table: TrialTable, importances: Sequence[Importance]) -> list[Figure]:
    """The search, size, importance, layers, nodes, curves; important: by share, none where it cannot be said."""
    return [
        plot_optimization_history(table),
        plot_score_vs_parameters(table),
        plot_param_importances(table, importances),
        plot_layers_slice(table),
        plot_nodes_slice(table),
        plot_training_curves(table),
    ]


def plot_param_importances(table: TrialTable, importances: Sequence[Importance]) -> Figure:
    """Each hyperparameter's share, beside what chance would give it."""
    names = [_format_param_name(each.hyperparameter) for each in importances]
    shares = Series("importance", "bars", names, [each.share for each in importances])
    chance = Series("by chance, 1 time in 20", "points", names, [each.chance_level for each in importances])
    chart = Chart("hyperparameter", "share of the importance", (shares, chance) if importances else ())
    return Figure("importance", "What counts most", _format_caption(table, importances), chart)


def _format_param_name(key: str) -> str:
    """Optuna's name of a parameter in words: `model.nodes.0` is that of the first layer."""
    _, name, *index = key.split(".")
    return (
        f"{name.replace('_', ' ')} of {'block' if name == 'channels' else 'layer'} {int(index[0]) + 1}"
        if index
        else name.replace("_", " ")
    )


def _format_caption(table: TrialTable, importances: Sequence[Importance]) -> str:
    complete = len(table.complete_trials)
    if not importances:
        if complete < MIN_COMPLETE_TRIALS:
            return f"Too few complete trials to say what counts: {complete}, and {MIN_COMPLETE_TRIALS} are needed."
        return f"In {complete} complete trials one hyperparameter at most was searched: there is nothing to compare."
    first = join_with_and(
        [f"{_format_param_name(each.hyperparameter)} {format_percent(each.share)}" for each in importances[:3]]
    )
    sentence = f"Shares in what makes a trial one of the best among {complete} complete ones, by PED-ANOVA: {first}."
    above_chance = [
        _format_param_name(each.hyperparameter) for each in importances if each.share > each.max_chance_level
    ]
    chance = "what shuffled scores give any of them 1 time in 20"
    if not above_chance:
        return f"{sentence} None is beyond {chance}: what counts cannot be told yet."
    return f"{sentence} Beyond {chance}: {join_with_and(above_chance)}."
