"""Phrases that captions, tables and tiles share."""

from collections.abc import Sequence

import numpy as np

from pipeline.runtime.text import pluralize
from pipeline.study.formatting import format_network
from pipeline.study.trial_record import TrialRecord


def describe_network(trial: TrialRecord) -> str:
    """Return the hidden layers of a trial: "128 and 64 nodes"."""
    return format_widths(format_network(trial.hyperparameters))


def format_widths(hidden: str) -> str:
    """Return widths with their noun, and "and" for the last comma, which could be read as part of a number."""
    *channels, nodes = hidden.split(" channels, ")
    blocks = [f"{join_with_and(each.split(','))} channels" for each in channels]
    return ", ".join([*blocks, f"{join_with_and(nodes.split(','))} nodes" if nodes[-1].isdigit() else nodes])


def describe_trial(trial: TrialRecord) -> str:
    """Return the number and the network of a trial: "trial 3 (64 nodes)"."""
    return f"trial {trial.number} ({describe_network(trial)})"


def format_layers(count: int) -> str:
    """Return "no hidden layer", "1 hidden layer", "2 hidden layers"."""
    return pluralize(count, "hidden layer") if count else "no hidden layer"


def format_percent(share: float) -> str:
    """Return a share as a whole percentage, or "-" for one that is not finite."""
    return f"{round(100 * share)} %" if np.isfinite(share) else "-"


def add_unit(title: str, unit: str) -> str:
    """Return a title with its unit in brackets, if it has one."""
    return f"{title} ({unit})" if unit else title


def join_with_and(parts: Sequence[str]) -> str:
    """Return "one", "one and two", or "one, two and three"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def capitalize_first(sentence: str) -> str:
    """Return a sentence with its first letter in upper case, and the others as they are."""
    return f"{sentence[0].upper()}{sentence[1:]}"
