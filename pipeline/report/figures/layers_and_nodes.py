"""The two questions of the product, one at a time: score against hidden layers, and against nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.score_vs_parameters import layers, width
from pipeline.report.trials_table import Tried, listed, many
from pipeline.study.trial_record import Row

FEWEST = 4  # trials with hidden layers, below which halves of them say nothing


def layers_slice(tried: Tried) -> Figure:
    """Each complete trial by its number of hidden layers, and the best of each number."""
    rows = tried.complete
    best = [tried.best_of([row for row in rows if layers(row) == count]) for count in sorted({*map(layers, rows)})]
    line = Series(
        "best of each",
        "line",
        [layers(row) for row in best],
        [tried.drawn(row.value) for row in best],
        [tried.drawn(row.value - row.standard_error) for row in best],
        [tried.drawn(row.value + row.standard_error) for row in best],
    )
    drawn = Chart("hidden layers", tried.score, (line, _points(tried, "complete trials", rows, layers)))
    return Figure("layers", "How many hidden layers", _layers_words(tried, best), drawn)


def _points(tried: Tried, name: str, rows: Sequence[Row], place: Callable[[Row], int]) -> Series:
    y, labels = [tried.drawn(row.value) for row in rows], [tried.label(row) for row in rows]
    return Series(name, "points", [place(row) for row in rows], y, labels=labels)


def _layers_words(tried: Tried, best: Sequence[Row]) -> str:
    counts = {layers(row): sum(layers(other) == layers(row) for other in tried.complete) for row in best}
    if len(best) == 1:
        trials = many(len(tried.complete), "complete trial")
        return f"{trials}, with {_hidden(layers(best[0]))}: nothing can be said about other numbers."
    found = [f"{tried.sure(row)} with {_hidden(layers(row))} ({many(counts[layers(row)], 'trial')})" for row in best]
    top, error = tried.best_of(best), tried.best.standard_error
    fewest = next(row for row in best if tried.better(row.value, top.value) >= -error)
    said = f"The best of each number: {listed(found)}."
    if fewest is top:
        within = sum(tried.better(row.value, top.value) >= -error for row in best)
        more = " More layers are no better." if layers(top) < layers(best[-1]) else ""
        alone = "" if within > 1 else " No other number comes within one standard error."
        return f"{said} The best network has {_hidden(layers(top))}.{alone}{more}"
    gain = f"The best network has {_hidden(layers(top))}, but is better by less than one standard error"
    return f"{said} {gain}: {_hidden(layers(fewest))} may be enough."


def _hidden(count: int) -> str:
    return many(count, "hidden layer") if count else "no hidden layer"


def nodes_slice(tried: Tried) -> Figure:
    """Each complete trial by the nodes of all its hidden layers; one without any is a line across."""
    rows = [row for row in tried.complete if width(row)]
    counts = sorted({*map(layers, rows)})
    series = [_points(tried, _hidden(count), [row for row in rows if layers(row) == count], width) for count in counts]
    if without := [row for row in tried.complete if not width(row)]:
        plain = tried.drawn(tried.best_of(without).value)
        ends = [min(map(width, rows)), max(map(width, rows))] if rows else [1, 1]
        series.append(Series("no hidden layer", "line", ends, [plain, plain]))
    drawn = Chart("nodes of all hidden layers", tried.score, tuple(series), log_x=True)
    return Figure("nodes", "How many nodes", _nodes_words(tried, rows, without), drawn)


def _nodes_words(tried: Tried, rows: Sequence[Row], without: Sequence[Row]) -> str:
    plain = f" Without a hidden layer the best is {tried.sure(tried.best_of(without))}." if without else ""
    if len(rows) < FEWEST or len({*map(width, rows)}) < 2:
        trials = many(len(rows), "complete trial")
        return f"{trials} with hidden layers: too few different ones to say how many nodes are needed.{plain}"
    ordered = sorted(rows, key=width)
    middle = width(ordered[(len(ordered) - 1) // 2])
    narrow, wide = ([row for row in rows if (width(row) <= middle) is fits] for fits in (True, False))
    if not wide:
        narrow, wide = [row for row in rows if width(row) < middle], [row for row in rows if width(row) == middle]
        middle -= 1
    pair = tried.best_of(narrow), tried.best_of(wide)
    halves = [f"of those with {'at most' if fits else 'more than'} {middle:,} nodes the best has {tried.sure(row)}"
              for row, fits in zip(pair, (True, False), strict=True)]  # fmt: skip
    return f"O{halves[0][1:]}, {halves[1]}: {_verdict(tried, *pair)}.{plain}"


def _verdict(tried: Tried, narrow: Row, wide: Row) -> str:
    gain, error = tried.better(wide.value, narrow.value), tried.best_of([narrow, wide]).standard_error
    if abs(gain) <= error:
        return "within one standard error, so that more nodes make no difference that can be seen"
    return f"more nodes did {'better' if gain > 0 else 'worse'}, by more than one standard error"
