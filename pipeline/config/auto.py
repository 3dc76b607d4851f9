"""Choose what `head=auto` and `metric=auto` stand for, from the targets of the data set."""

from collections.abc import Callable, Mapping, Sequence, Set
from pkgutil import resolve_name
from typing import Any

from pipeline.config.datasets import DATASETS, DatasetConfig
from pipeline.config.heads import HEADS
from pipeline.config.metrics import METRICS
from pipeline.config.overrides import ConfigError, Override, parse_override
from pipeline.config.rules import check_dataset
from pipeline.config.target_summary import TargetSummary
from pipeline.runtime.errors import UserError

AUTO = "auto"


def has_auto(config: Mapping[str, Any]) -> bool:
    """Return whether a head or a metric is still to be chosen."""
    return _is_auto_head(config) or config.get("metric") == AUTO


def replace_auto(
    config: Mapping[str, Any], dataset: DatasetConfig | None, overrides: Sequence[Override]
) -> tuple[list[Override], str, list[str]]:
    """Return the overrides with a choice in place of `auto`, the line that says so, and the mistakes in the targets.

    dataset: None if it has mistakes; then, as if it has others, all stays as it is, and the reader reports why.
    """
    typed = [each for each in overrides if not (each.key in ("head", "metric") and each.value == AUTO)]
    if not _is_auto_head(config):
        kind = str((config.get("head") or {}).get("kind"))
        chosen = [parse_override(f"metric={HEADS[kind].default_metric}")] if kind in HEADS else []
        return [*typed, *chosen], "", []
    if dataset is None or check_dataset(dataset):
        return list(overrides), "", []
    try:
        summary = _inspect_targets(dataset)
    except UserError as error:
        return list(overrides), "", list(error.lines)
    chosen, line = _choose(summary, str(config.get("metric")), {each.key for each in typed})
    return [*typed, *chosen], line, []


def _inspect_targets(dataset: DatasetConfig) -> TargetSummary:
    """Return the summary of a data set's targets; raises ConfigError without one, or UserError for unusable targets."""
    inspector = dataset.spec.inspector
    if not inspector:
        known = " or ".join(f"dataset={kind}" for kind, spec in DATASETS.items() if spec.inspector)
        raise ConfigError(f"head=auto: is for {known}; got dataset={dataset.kind}; say which, such as head=softmax")
    # By its name in the registry, like the loader: it needs pandas, and --help and other tasks start without.
    inspect: Callable[[DatasetConfig], TargetSummary] = resolve_name(f"pipeline.data.{inspector}")
    return inspect(dataset)


def _choose(summary: TargetSummary, metric: str, typed: Set[str]) -> tuple[list[Override], str]:
    """Return overrides for the targets, and the line that says so; typed: keys that stay as they are.

    A metric that was named chooses among the heads that suit the targets.
    """
    kind = next((each for each in summary.heads if METRICS.get(metric) in HEADS[each].metrics), summary.heads[0])
    chosen = [f"head={kind}"]
    if kind == "number" and summary.has_negative and "head.output" not in typed:
        chosen.append("head.output=identity")
    if metric == AUTO:
        chosen.append(f"metric={HEADS[kind].default_metric}")
    instead = ", ".join(_list_alternatives(kind, summary, metric))
    line = f"{summary.description}: {', '.join(chosen)}; to override: {instead}"
    return [parse_override(text) for text in chosen], line


def _is_auto_head(config: Mapping[str, Any]) -> bool:
    head = config.get("head")
    return isinstance(head, Mapping) and head.get("kind") == AUTO


def _list_alternatives(kind: str, summary: TargetSummary, metric: str) -> list[str]:
    """Return the heads and metrics that could be typed instead."""
    spec = HEADS[kind]
    heads = [f"head={each}" for each in summary.heads if each != kind]
    bands = ["head=bands 'head.edges=[...]'"] if spec.target_kind == "numbers" else []
    names = [each.name for each in spec.metrics if metric == AUTO and each.name != spec.default_metric]
    return [*heads, *bands, *([f"metric={' | '.join(names)}"] if names else [])]
