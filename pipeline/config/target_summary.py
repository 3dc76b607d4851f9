"""What is known of the targets of a data set before it is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.runtime.text import join_names

MAX_LISTED_CLASSES = 5


@dataclass(frozen=True)
class TargetSummary:
    """Targets in words, and what suits them.

    description: a clause, such as "price is a number"; heads: the kinds of heads that suit them, the best first.
    has_negative: whether a number is below 0.
    """

    description: str
    heads: tuple[str, ...]
    has_negative: bool = False


def summarize_classes(name: str, classes: Sequence[str], *other_heads: str) -> TargetSummary:
    """Return the summary of targets with these classes; other_heads: kinds of heads that would suit them too."""
    heads = ("sigmoid", "softmax") if len(classes) == 2 else ("softmax",)
    listed = f" ({join_names(classes)})" if len(classes) <= MAX_LISTED_CLASSES else ""
    return TargetSummary(f"{name} has {len(classes)} classes{listed}", (*heads, *other_heads))
