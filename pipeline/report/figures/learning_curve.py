"""Would more data help? The winner's learning curve over its training rows, and what it expects of twice as many."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.report import power_law
from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.learning_curve_fits import Curve, Watch, curve
from pipeline.report.power_law import Laws, Numbers
from pipeline.report.trials_table import Tried
from pipeline.study.problem import Question
from pipeline.tuner.live_display import number

SURE = "95 % of the fits to redrawn folds"  # no interval that holds the truth as often: see power_law.fit
WORTH = 0.01  # of a share of right answers, and of an error twice this part of it: less is no help


def figure(question: Question, seed: int, tried: Tried, folder: Path, watch: Watch) -> Figure:
    """The learning curve of the best trial, trained where the folder does not keep it yet; see `refits.curve`."""
    return drawn(curve(question, seed, tried.best, folder, watch), tried)


def drawn(found: Curve, tried: Tried) -> Figure:
    """The measured scores, the fitted law up to twice the rows, and the answer in words."""
    rows, scores = np.array(found.rows), np.array(found.scores)  # [sizes], [sizes, folds]
    means, spread = scores.mean(axis=1), scores.std(axis=1, ddof=1) / math.sqrt(scores.shape[1] / tried.best.repeats)
    measured = Series(
        "measured, ± standard error",
        "points",
        rows.tolist(),
        means.tolist(),
        (means - spread).tolist(),
        (means + spread).tolist(),
        [f"{count:,.0f} training rows" for count in rows],
    )
    words = f"With all {rows[-1]:,.0f} training rows of a fold the winner came to {tried.says(means[-1])} in its search"
    words += f", with {rows[0]:,.0f} of them to {tried.says(means[0])}." if len(rows) > 1 else "."
    chart = Chart("training rows", tried.score, (measured,), log_x=True)
    if len(rows) < power_law.FEWEST:
        few = "There are too few training rows, or too few on which it learns, to say what more would bring."
        return Figure("more_data", "Would more data help?", f"{few} {words}", chart)
    laws = power_law.fit(rows, _errors(scores.T, tried), tried.best.repeats)
    answer = _answer(laws, tried, rows, _errors(means, tried), spread)
    series = (measured, _fitted(laws, rows, tried))
    return Figure("more_data", "Would more data help?", f"{answer} {words}", replace(chart, series=series))


def _errors(scores: Numbers, tried: Tried) -> Numbers:
    """What falls with more data, from scores; and scores from that."""
    return 1 - scores if tried.maximise else scores


def _fitted(laws: Laws, rows: Numbers, tried: Tried) -> Series:
    """The fit from the fewest rows to twice as many as there are."""
    x = np.geomspace(rows[0], 2 * rows[-1], 40)
    y, *ends = (_errors(error, tried) for error in (laws.at(x)[0], *laws.band(x)))
    low, high = np.minimum(*ends), np.maximum(*ends)
    return Series("fit, and 95 % of redrawn ones", "line", x.tolist(), y.tolist(), low.tolist(), high.tolist())


def _answer(laws: Laws, tried: Tried, rows: Numbers, errors: Numbers, spread: Numbers) -> str:
    """What twice the data would gain, or that it would not help, or that the fit does not say."""
    likely, low, high = laws.gain
    gain, worth = _gain(low, high, tried), WORTH if tried.maximise else 2 * WORTH * float(errors[-1])
    if (np.abs(laws.at(rows)[0] - errors) > np.maximum(2 * spread, worth)).any():
        return "What more data would bring cannot be told: the points do not lie on the curve that such points follow."
    if high < worth:
        return f"More data would not help: of twice as much the fit expects {_most(high, tried)}."
    if low > worth / 10:  # nearly every draw of the folds says that the error falls
        return f"Twice the data would probably gain {'' if likely >= worth else 'little, '}{gain} ({SURE})."
    return f"Whether more data would help cannot be told: of twice as much the fit expects {gain} ({SURE})."


def _most(high: float, tried: Tried) -> str:
    """The upper end of the interval, where it is little."""
    if tried.maximise:
        return f"at most {100 * high:.1f} points" if high >= 0.0005 else "nothing"
    return f"at most {number(high, tried.metric)} {tried.unit}".strip() + " less error"


def _gain(low: float, high: float, tried: Tried) -> str:
    """From where to where, in points of a share or in the unit of an error."""
    if tried.maximise:
        return f"{100 * low:.1f} to {100 * high:.1f} points"
    return f"{number(low, tried.metric)} to {number(high, tried.metric)} {tried.unit}".strip() + " less error"
