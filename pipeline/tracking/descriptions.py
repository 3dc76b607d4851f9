"""What MLflow's pages say of a task, of a study and of its model, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config import follow_up_commands
from pipeline.study.description import Description
from pipeline.tracking.markdown import code, inline, listed, plain, shortened, table
from pipeline.tuner import results_table
from pipeline.tuner.live_display import number

Summary = Mapping[str, Any]
DATA = {
    "drawn": "pictures that the program drew",
    "drawn_houses": "houses that the program made up",
    "folder": "pictures in folders, one a class",
    "labels": "pictures named in a CSV file",
    "hdf5": "pictures in HDF5 files",
    "table": "rows of a table",
    "oxford_pets": "photographs of the Oxford-IIIT Pet data set",
    "cifar": "photographs of the CIFAR-10 data set",
}
METRICS = {
    "accuracy": "accuracy, the share of right answers (higher is better)",
    "f1_macro": "macro F1, the mean over the labels of each one's F1 (higher is better)",
    "mean_absolute_error": "mean absolute error{unit} (lower is better)",
}
DRAWN = "It learned from what the program made up: a demonstration, of no use on real pictures or rows. "
LIMITS = (
    "The scores hold for rows like those it was tested on: of the same source, chosen and prepared in the same way. "
    "It always answers, also where it was never shown anything of the kind. How sure it says it is was not calibrated."
)
RANGES = 20  # lines


def task(told: Description, trials: str) -> str:
    """Of an experiment: what is asked, of which data, how it is judged; trials: where all of them are a table."""
    return "\n\n".join(
        [
            f"{_asked(told)} {_answers(told)}",
            f"Data: {_data(told)}.",
            f"Judged by {_metric(told)}: on cross-validated folds; the winner once on rows that nothing has seen.",
            f"In the tables, `score` is the former and `test/{told.metric}` the latter.",
            f"A run is a search, with its summary; a nested run is a trial, with its curves. {trials}",
        ]
    )


def begun(told: Description, done: int, *, over: bool) -> str:
    """Of a study without a result so far: what is being tried; over: nobody is at it at the moment."""
    state = "Stopped; the same command goes on" if over else "Being searched"
    return "\n\n".join([f"**{_asked(told)}** {state}: {done} of {told.budget} trials.", _facts(told)])


def study(told: Description, summary: Summary, trials: str) -> str:
    """Of a finished study: who won, by how much, how sure that is, and how to use it; all of it in the first lines."""
    best, test = summary["best"], summary["test"]
    opened = f"The test rows were opened {results_table.times(test['opened'])}."
    return "\n\n".join(
        [
            f"{_verdict(told, summary)}  \n{_use(told)}",  # MLflow shows five lines, and hides the rest
            *_needs(told),
            _scores(summary),
            f"\\* optimistic: the best of {summary['trials']['total']} trials is chosen by it. {opened} {trials}",
            "**The winner as a command**",
            code([*told.before, *best["overrides"], *told.after]),
            _facts(told, summary),
        ]
    )


def version(told: Description, summary: Summary) -> str:
    """Of a registered version: its score and where it comes from; a list shows the beginning, without its Markdown."""
    return f"{_verdict(told, summary)} Study {plain(told.study)}.".replace("**", "")


def card(told: Description, summary: Summary) -> str:
    """Of a registered model: a model card of its champion."""
    rows, trials = told.rows, summary["trials"]["total"]
    drawn = DRAWN if told.decides["drawn"] == "true" else ""
    return "\n\n".join(
        [
            f"## {plain(told.task)}",
            f"**Intended use.** {_asked(told)} {_answers(told)}",
            f"**Data.** {_data(told)}. Trained on {rows['development']:,} rows, tested on {rows['test']:,} others.",
            f"**Scores.** {_verdict(told, summary)}",
            _scores(summary),
            f"**Limits.** {drawn}{LIMITS} \\* optimistic: the best of {trials} trials was chosen by it.",
            _use(told),
            *_needs(told),
        ]
    )


def _asked(told: Description) -> str:
    return plain(told.question or told.task)


def _answers(told: Description) -> str:
    """What an answer is."""
    kind = told.architecture.get("head", {}).get("kind")
    if not told.answers:
        return f"A number{f', in {plain(told.unit)}' if told.unit else ''}."
    some = {"sigmoids": "None, one or several of", "sigmoid": "One of"}.get(str(kind), "One of")
    return f"{some} {len(told.answers)}: {listed(told.answers)}."


def _data(told: Description) -> str:
    return f"{DATA.get(told.dataset, plain(told.dataset))}, {told.rows['rows']:,} of them"


def _use(told: Description) -> str:
    """The command that answers."""
    return f"**Use.** {inline(told.predict)}"


def _needs(told: Description) -> list[str]:
    """What that command needs besides, if anything."""
    return [f"{plain(follow_up_commands.columns(told.needs))}."] if told.needs else []


def _metric(told: Description) -> str:
    return METRICS[told.metric].format(unit=f" in {plain(told.unit)}" if told.unit else "")


def _verdict(told: Description, summary: Summary) -> str:
    """The winner, its size, its score with its interval, and what was gained, in three sentences."""
    best, test, first = summary["best"], summary["test"], summary["baseline"]
    metric, unit = test["metric"], f" {plain(told.unit)}" if test["metric"] == "mean_absolute_error" else ""
    layers = results_table.hidden(best)
    network = layers if "hidden" in layers else f"hidden layers {layers}"
    low, high = number(test["low"], metric), number(test["high"], metric)
    said = (
        f"**Trial {best['number']} won: {network}; {summary['parameters']:,} parameters.** "
        f"On {test['rows']:,} held-out rows: **{metric.replace('_', ' ')} {number(test['value'], metric)}{unit}** "
        f"(95 % interval {low} to {high})."
    )
    return said if first is None else f"{said} {_gain(best, test, first, unit)}"


def _gain(best: Summary, test: Summary, first: Summary, unit: str) -> str:
    """What the winner gained over the baseline, and whether that may be chance."""
    if not best["number"]:
        return "It is the baseline itself: nothing that was tried is better in cross-validation."
    metric, score = test["metric"], first["test"]["value"]
    gained = results_table.gain(test["value"], score, metric)
    chance = ", perhaps by chance" if test["low"] <= score <= test["high"] else ""
    return f"Gain over the baseline's {number(score, metric)}: **{gained}{unit}**{chance}."


def _scores(summary: Summary) -> str:
    rows = results_table.rows(summary)
    bold = [
        [f"**{cell}**" if cell and name.startswith("winner") else cell for cell in (name, *rest)]
        for name, *rest in rows
    ]
    return table(("", "hidden layers", "cross-validation\\*", "held-out test, 95 % interval"), bold)


def _facts(told: Description, summary: Summary | None = None) -> str:
    """What was asked, of what, how, and which ranges were searched."""
    rows = told.rows
    split = f"{rows['development']:,} to search on ({told.splits}), {rows['test']:,} held out"
    lines = [
        ("task", f"{plain(told.task)}: {_asked(told)}" if told.question else plain(told.task)),
        ("answer", _answers(told)),
        ("data", f"{_data(told)}: {split}"),
        ("", plain(shortened(told.source, 300))),
        ("judged by", _metric(told)),
        ("searched by", plain(told.method)),
    ]
    if summary is not None:
        seconds, device = summary["seconds"]["training"], plain(summary["device"])
        lines += [("trials", results_table.counted(summary["trials"])), ("they took", f"{seconds:,.0f} s on {device}")]
    ranges = list(told.searched.items())
    lines += [(plain(key), plain(shortened(range_, 80))) for key, range_ in ranges[:RANGES]]
    return "**What was asked**\n\n" + table(("", ""), lines)
