"""How large a network the question needs: score against number of parameters, and the smallest that is as good."""

from __future__ import annotations

import numpy as np

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.trials_table import Tried, named
from pipeline.study.trial_record import Row

RESAMPLES = 500


def size(tried: Tried) -> Figure:
    """Each complete trial by its size, the best up to each size, and the two that matter."""
    rows, least = tried.complete, smallest(tried)
    x, best = steps(tried)
    series = [
        Series(
            "complete trials",
            "points",
            [row.parameters for row in rows],
            [tried.drawn(row.value) for row in rows],
            [tried.drawn(row.value - row.standard_error) for row in rows],
            [tried.drawn(row.value + row.standard_error) for row in rows],
            [tried.label(row) for row in rows],
            quiet=True,
        ),
        Series("best up to this size", "line", x, [tried.drawn(row.value) for row in best]),
        *_rings(tried, least),
    ]
    drawn = Chart("parameters", tried.score, tuple(series), log_x=True)
    return Figure("size", "How large a network is needed", _words(tried, least), drawn)


def _rings(tried: Tried, least: Row) -> list[Series]:
    """Around the winner and the smallest that is as good; around one trial that is both, one."""
    if least is tried.best:
        return [_marked("winner, and the smallest that is as good", tried, least)]
    return [_marked("winner", tried, tried.best), _marked("smallest that is as good", tried, least)]


def _marked(name: str, tried: Tried, row: Row) -> Series:
    return Series(name, "points", [row.parameters], [row.value], labels=[tried.label(row)], ring=True)


def frontier(tried: Tried) -> list[Row]:
    """The complete trials that are better than every smaller one, from the smallest to the best."""
    found: list[Row] = []
    for row in sorted(tried.complete, key=lambda row: (row.parameters, -tried.better(row.value, 0), row.number)):
        if not found or tried.better(row.value, found[-1].value) > 0:
            found.append(row)
    return found


def smallest(tried: Tried) -> Row:
    """The smallest network whose mean is within one standard error of the best one's.

    The one standard error rule of Breiman, Friedman, Olshen, Stone 1984, Classification and Regression Trees, 3.4.3.
    """
    enough = [row for row in tried.complete if tried.better(row.value, tried.best.value) >= -tried.best.standard_error]
    return min(enough, key=lambda row: (row.parameters, -tried.better(row.value, 0), row.number))


def resampled(tried: Tried, seed: int = 0) -> list[list[Row]]:
    """The networks as good as the best again and again, for folds drawn with replacement: how firmly each stands.

    All trials share the folds, so that a resampling draws the same ones for all of them: as many as one drawing of the
    rows has, since repeats judge by the same rows again.
    """
    rows, count = tried.complete, tried.best.parts
    scores = np.array([row.folds for row in rows])
    if not tried.maximise:
        scores = -scores
    folds = scores.shape[1]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(folds, 1 / folds), RESAMPLES)  # [resamples, folds]
    means = drawn @ scores.T / count  # [resamples, trials]
    best = means.argmax(axis=1)
    spread = (drawn * (scores[best] - means.max(axis=1)[:, None]) ** 2).sum(axis=1) / (count - 1)
    enough = means >= means.max(axis=1)[:, None] - np.sqrt(spread / count)[:, None]
    return [[rows[place] for place in np.flatnonzero(each)] for each in enough]


def steps(tried: Tried) -> tuple[list[float], list[Row]]:
    """The best up to each size, as places of a line and the trial at each: level until the next that is better."""
    rows = frontier(tried)
    ends = [row.parameters for row in rows[1:]] + [max(row.parameters for row in tried.complete)]
    x = [float(place) for row, end in zip(rows, ends, strict=True) for place in (row.parameters, end)]
    return x, [row for row in rows for _ in range(2)]


def _words(tried: Tried, least: Row) -> str:
    best, complete = tried.best, tried.complete
    won = f"The winner, {named(best)}, has {best.parameters:,} parameters and {tried.sure(best)}."
    if len({row.parameters for row in complete}) == 1:
        return f"{won} Every complete trial has that size, so that nothing can be said about others."
    if least is best:
        return f"{won} No smaller network that was tried is within one standard error of it."
    found = f"The smallest network within one standard error of it is {named(least)}, with {tried.sure(least)}"
    within = f"{found} and {least.parameters:,} parameters: {_times(best.parameters / least.parameters)}."
    if least.parameters == min(row.parameters for row in complete):
        return f"{won} {within} None that was tried is smaller: a space with smaller networks may do as well."
    return f"{won} {within}"


def _times(ratio: float) -> str:
    if ratio < 1.05:
        return "about as many"
    return f"{ratio:.2g} times fewer" if ratio < 100 else f"{ratio:,.0f} times fewer"


def width(row: Row) -> int:
    """How many nodes a trial's hidden layers have together."""
    return sum(int(nodes) for nodes in str(row.fields["model.nodes"]).split("-") if nodes)


def layers(row: Row) -> int:
    """How many hidden layers a trial's network has."""
    return int(row.fields["model.layers"])
