"""The figures that the record of the trials gives, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.layers_and_nodes import layers_slice, nodes_slice
from pipeline.report.figures.optimization_history import history
from pipeline.report.figures.score_vs_parameters import size
from pipeline.report.figures.training_curves import curves
from pipeline.report.trials_table import Tried, listed, percent
from pipeline.study.importance import FEWEST, Importance


def figures(tried: Tried, important: Sequence[Importance]) -> list[Figure]:
    """The search, size, importance, layers, nodes, curves; important: by share, none where it cannot be said."""
    return [
        history(tried),
        size(tried),
        importance(tried, important),
        layers_slice(tried),
        nodes_slice(tried),
        curves(tried),
    ]


def importance(tried: Tried, important: Sequence[Importance]) -> Figure:
    """Each hyperparameter's share, beside what chance would give it."""
    names = [_spoken(each.key) for each in important]
    shares = Series("importance", "bars", names, [each.share for each in important])
    chance = Series("by chance, 1 time in 20", "points", names, [each.chance for each in important])
    drawn = Chart("hyperparameter", "share of the importance", (shares, chance) if important else ())
    return Figure("importance", "What counts most", _words(tried, important), drawn)


def _spoken(key: str) -> str:
    """Optuna's name of a parameter in words: `model.nodes.0` is that of the first layer."""
    _, name, *place = key.split(".")
    return (
        f"{name.replace('_', ' ')} of {'block' if name == 'channels' else 'layer'} {int(place[0]) + 1}"
        if place
        else name.replace("_", " ")
    )


def _words(tried: Tried, important: Sequence[Importance]) -> str:
    complete = len(tried.complete)
    if not important:
        if complete < FEWEST:
            return f"Too few complete trials to say what counts: {complete}, and {FEWEST} are needed."
        return f"In {complete} complete trials one hyperparameter at most was searched: there is nothing to compare."
    first = listed([f"{_spoken(each.key)} {percent(each.share)}" for each in important[:3]])
    said = f"Shares in what makes a trial one of the best among {complete} complete ones, by PED-ANOVA: {first}."
    beyond = [_spoken(each.key) for each in important if each.share > each.chance_of_any]
    chance = "what shuffled scores give any of them 1 time in 20"
    if not beyond:
        return f"{said} None is beyond {chance}: what counts cannot be told yet."
    return f"{said} Beyond {chance}: {listed(beyond)}."
