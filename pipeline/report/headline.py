"""What a study found, in the few sentences and numbers that its page begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.report.figures.score_vs_parameters import layers, smallest
from pipeline.report.trials_table import METRICS, Tried, listed, many, named, widths, with_nodes
from pipeline.runtime.text import shown
from pipeline.study.summary import Summary
from pipeline.tuner.live_display import number
from pipeline.tuner.results_table import gain, hidden, pairs

MOST_NAMES = 40


class Card(NamedTuple):
    """A number that the eye finds first, with what it is."""

    name: str
    value: str
    note: str


def question(head: Mapping[str, Any]) -> str:
    """What is asked, from the head of an architecture file."""
    match head["kind"]:
        case "softmax":
            return f"which one of {len(head['classes'])}?"
        case "sigmoid":
            return f"{shown(head['classes'][1])} or {shown(head['classes'][0])}?"
        case "sigmoids":
            return f"which of {len(head['labels'])} are there, none, one or several?"
        case "bands":
            return f"which of {len(head['edges']) + 1} bands{_of(head)}?"
    return f"how much{_of(head)}?"


def answers(head: Mapping[str, Any]) -> str:
    """What a network may answer."""
    names = [shown(name) for name in head.get("classes", head.get("labels", ()))]
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        return f"{', '.join(names[:MOST_NAMES])}{more}"
    if head["kind"] == "bands":
        return f"bands with the edges {listed([f'{edge:g}' for edge in head['edges']])}{_of(head)}"
    return f"a number{_of(head)}{', never below 0' if head['output'] == 'relu' else ''}"


def _of(head: Mapping[str, Any]) -> str:
    return f" of {shown(head['unit'])}" if head["unit"] else ""


def verdict(summary: Summary, tried: Tried) -> str:
    """Who won, by how much, and how sure that is."""
    test, baseline = summary["test"], summary["baseline"]
    score = f"{METRICS[tried.metric]} {tried.says(test['value'])} on {test['rows']:,} held-out rows"
    between = f"95 % interval {number(test['low'], tried.metric)} to {tried.says(test['high'])}"
    said = [
        f"The winner of {many(len(tried.rows), 'trial')} is {named(tried.best)}: {score} ({between}).",
        _over_baseline(summary, tried) if baseline is not None else "",
        _over_a_constant(summary, tried),
    ]
    return " ".join(sentence for sentence in said if sentence)


def _over_a_constant(summary: Summary, tried: Tried) -> str:
    """How much of the score looking at the input is worth."""
    test, constant = summary["test"], summary["majority"]["value"]
    said = f"Always the same answer, the best for the training rows, has {tried.says(constant)}"
    if tried.better(test["value"], constant) <= 0:
        return f"{said}: the winner is no better than that."
    inside = test["low"] <= constant <= test["high"]
    return f"{said}, which lies inside that interval: the winner may be no better." if inside else f"{said}."


def _over_baseline(summary: Summary, tried: Tried) -> str:
    test, tested = summary["test"], summary["baseline"]["test"]["value"]
    if summary["best"]["number"] == 0:
        return "It is the baseline itself: the search found nothing better."
    gained = tried.better(test["value"], tested)
    score = f"the baseline ({with_nodes(hidden(summary['baseline']))}) has {tried.says(tested)} there"
    if gained <= 0:
        return f"On those rows it is no better than a network typed without searching: {score}."
    difference = tried.says(abs(gained))
    if test["low"] <= tested <= test["high"]:
        return f"That is {difference} better than without searching, less than the test can be sure of: {score}."
    return f"That is {difference} better than without searching: {score}."


def cards(summary: Summary, tried: Tried) -> list[Card]:
    """Score, gain, chance, size."""
    test, metric, baseline = summary["test"], tried.metric, summary["baseline"]
    least = smallest(tried)
    between = f"{number(test['low'], metric)} to {tried.says(test['high'])}, 95 % interval"
    enough = (
        "no smaller one tried is within one standard error"
        if least is tried.best
        else f"{least.parameters:,} are within one standard error: trial {least.number}, {widths(least)}"
    )
    found = [
        Card(f"{METRICS[metric]}, held-out test", tried.says(test["value"]), between),
        Card("always the same answer", tried.says(summary["majority"]["value"]), "the best for the training rows"),
        Card("parameters", f"{summary['parameters']:,}", f"{_depth(tried)}; {enough}"),
    ]
    if baseline is not None:
        validated, tested = (gain(*pair, metric) for pair in pairs(summary["best"], test, baseline))
        unit = f" {tried.unit}" if tried.unit else ""
        found.insert(1, Card("gain over the baseline", f"{tested}{unit}", f"{validated}{unit} in cross-validation"))
    return found


def _depth(tried: Tried) -> str:
    count = layers(tried.best)
    return f"{many(count, 'hidden layer')}: {widths(tried.best)}" if count else widths(tried.best)
