"""Check rules between settings, and the paths in them."""

import math
import os
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from pipeline.config import model, rules_backbone, schema, sections
from pipeline.config.datasets import PATH_FIELDS, DatasetConfig, TableFile
from pipeline.config.final_models import FINAL_MODEL_MEMBERS, MAX_NETWORKS, FinalModelKind
from pipeline.config.heads import BandsConfig, HeadConfig, NumberConfig, recommend_heads
from pipeline.config.metrics import Metric
from pipeline.config.ranges import Choice, Range, upper_bound
from pipeline.config.search_methods import Pruner


def check_settings(parts: Mapping[str, Any], settings: Mapping[str, Any], typed: Set[str]) -> list[str]:
    """Return a line for each broken rule between settings; parts that could not be read (None) are not checked.

    typed: the keys in the command.
    """
    mistakes = [*_check_nodes(settings, typed), *_check_store(parts["store"])]
    mistakes += _check_workers(parts["compute"], parts["pruner"])
    mistakes += _check_network_count(parts["cv"], parts["champion"])
    dataset = parts["dataset"]
    head = parts["head"]
    backbone = parts["backbone"]
    mistakes += _check_schedule(settings, parts["pruner"], typed)
    mistakes += rules_backbone.check_convolutions(backbone, dataset, settings, typed)
    if dataset is not None:
        mistakes += [*check_dataset(dataset), *_check_image_settings(dataset, settings)]
        mistakes += _check_table_settings(dataset, parts["features"], typed)
    if backbone is not None:
        mistakes += rules_backbone.check_backbone(backbone, parts["features"], dataset, typed)
        mistakes += rules_backbone.check_finetuning(backbone, settings, typed)
    if head is not None:
        mistakes += _check_head(head, parts["metric"], dataset, settings)
    return mistakes


def _check_head(
    head: HeadConfig, metric: Metric | None, dataset: DatasetConfig | None, settings: Mapping[str, Any]
) -> Iterator[str]:
    allowed = [each.name for each in head.spec.metrics]
    if metric is not None and metric.name not in allowed:
        yield f"metric: head={head.kind} is scored by {', '.join(allowed[:-1])} or {allowed[-1]}; got {metric.name}"
    if isinstance(head, BandsConfig) and list(head.edges) != sorted(set(head.edges)):
        yield f"head.edges: rising numbers, such as [1, 3, 7]; got {list(head.edges)}"
    if isinstance(head, NumberConfig):
        yield from _check_number(head)
    if dataset is not None and head.spec.target_kind not in (kinds := dataset.target_kinds):
        field = next((field for field in ("subject", "targets", "target") if getattr(dataset, field, None)), None)
        name = f"dataset={dataset.kind}" + (f" with {field}={_format_names(getattr(dataset, field))}" if field else "")
        recommended = " or ".join(map(recommend_heads, kinds))
        yield f"head: {name} gives {' or '.join(kinds)}, for {recommended}; got head={head.kind}"
    defaults = sections.searchable_defaults()
    for key, heads in sections.searchable_heads().items():
        value = settings[key]
        if head.kind not in heads and value is not None and value != defaults.get(key):
            got = "a range" if isinstance(value, Range) else value
            yield f"{key}: is for {' or '.join(f'head={kind}' for kind in heads)}; got {got} for head={head.kind}"


def _check_number(head: NumberConfig) -> Iterator[str]:
    if head.transform != "none" and head.output != "relu":
        rule = f"head.transform={head.transform} predicts nothing below 0, as output=relu"
        yield f"head.output: {rule}; got {head.output}; use head.output=relu, or head.transform=none"
    if head.loss != "quantile" and head.quantile != NumberConfig.quantile:
        yield f"head.quantile: is for head.loss=quantile; got {head.quantile:g} for head.loss={head.loss}"


def _check_image_settings(dataset: DatasetConfig, settings: Mapping[str, Any]) -> Iterator[str]:
    if dataset.spec.is_table:
        for key, neutral in (("training.flip", False), ("training.shift", 0)):
            if settings.get(key) not in (neutral, None):
                yield f"{key}: is for images, and dataset={dataset.kind} has none; use space=dense"
    elif (max_shift := upper_bound(settings.get("training.shift"))) >= (size := getattr(dataset, "size", math.inf)):
        yield f"training.shift: fewer pixels than the side of the images, {size}; got {max_shift}"


def _check_table_settings(
    dataset: DatasetConfig, features: schema.FeaturesConfig | None, typed: Set[str]
) -> Iterator[str]:
    if not dataset.spec.is_table:
        for key in sorted(typed & {"features.numbers", "features.bins"}):
            yield f"{key}: is for tables, and dataset={dataset.kind} has images; leave it out"
    elif features is not None and features.numbers == "standard" and "features.bins" in typed:
        yield "features.bins: is for features.numbers=quantile or piecewise; got features.numbers=standard"


def _check_nodes(settings: Mapping[str, Any], typed: Set[str]) -> Iterator[str]:
    """Yield a mistake if a list of nodes, which fixes layers and shape, comes with another value of them."""
    nodes = settings.get("model.nodes")
    if not isinstance(nodes, tuple):
        return
    if len(nodes) > model.MAX_HIDDEN_LAYERS:
        yield f"model.nodes: of {model.MAX_HIDDEN_LAYERS} layers at most; got {len(nodes)}; use fewer"
    if "model.layers" in typed and settings.get("model.layers") != len(nodes):
        yield f"model.layers: model.nodes={list(nodes)} fixes {len(nodes)} layers; leave one of the two out"
    if "model.shape" in typed:
        yield f"model.shape: model.nodes={list(nodes)} fixes the widths already; leave one of the two out"


def _check_schedule(settings: Mapping[str, Any], pruner: Pruner | None, typed: Set[str]) -> Iterator[str]:
    """Yield a mistake if pruning would compare different shares of a schedule, or if patience would be ignored."""
    setting = settings["training.schedule"]
    schedules = setting.options if isinstance(setting, Choice) else (setting,)
    falling = " or ".join(each for each in schedules if each not in ("constant", None))
    if not falling:
        return
    for key in ("training.epochs", "training.backbone_epochs"):
        if isinstance(settings[key], Range) and pruner is not None and pruner.prunes:
            rule = f"trials of training.schedule={falling} are pruned at equal shares of it"
            yield f"{key}: {rule}; got a range; use one number, or pruner=none"
    patience = settings["training.patience"]
    if "constant" not in schedules and "training.patience" in typed and patience is not None:
        rule = f"training.schedule={falling} trains all epochs"
        yield f"training.patience: {rule}; got {'a range' if isinstance(patience, Range) else patience}; leave it out"


def _format_names(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else f"[{','.join(names)}]"


def check_dataset(dataset: DatasetConfig) -> list[str]:
    """Return a line for each broken rule of the data set alone: what has to be right before its targets are read."""
    targets = _check_target_names(dataset) if isinstance(dataset, TableFile) else ()
    return [*_check_paths(dataset), *targets]


def _check_target_names(dataset: TableFile) -> Iterator[str]:
    if dataset.target is None and not dataset.targets:
        yield "dataset.target: needs a value, such as dataset.target=price"
    if dataset.target is not None and dataset.targets:
        yield f"dataset.target: one column, or several as dataset.targets; got both, target={dataset.target}"
    if len(dataset.targets) == 1:
        (name,) = dataset.targets
        yield f"dataset.targets: at least two columns of 0 and 1; got [{name}]; use dataset.target={name}"


def _check_paths(dataset: DatasetConfig) -> Iterator[str]:
    """Yield a mistake for each file or folder that does not exist and is not downloaded."""
    if dataset.spec.is_downloaded:
        return
    for field in PATH_FIELDS:
        path = getattr(dataset, field, None)
        if path is None:
            continue
        expected = "folder" if field == "root" else "file"
        if not (path.is_dir() if expected == "folder" else path.is_file()):
            explanation = f"{path.resolve()} is none" if path.exists() else f"there is none at {path.resolve()}"
            yield f"dataset.{field}: a {expected} that exists; got {path} ({explanation})"


def _check_workers(compute: schema.ComputeConfig | None, pruner: Pruner | None) -> Iterator[str]:
    """Yield a mistake if the table of trials would depend on which worker is faster."""
    if pruner is not None and pruner.compares_running_trials and compute is not None and compute.workers != 1:
        rule = f"pruner={pruner.name} compares trials that still run, so there is one worker"
        yield f"compute.workers: {rule}; got {compute.workers}; use pruner=median"


def _check_network_count(cv: schema.CrossValidationConfig | None, champion: FinalModelKind | None) -> Iterator[str]:
    """Yield a mistake if a model of the networks of all folds would have too many of them."""
    members = FINAL_MODEL_MEMBERS.get(champion or "refit", 0)
    n_networks = 0 if cv is None else cv.folds * cv.repeats * members
    if n_networks > MAX_NETWORKS:
        rule = f"champion={champion} holds at most {MAX_NETWORKS:,} networks, cv.folds x cv.repeats x {members}"
        yield f"champion: {rule}; got {n_networks:,}; use champion=refit"


def _check_store(store: Path | None) -> Iterator[str]:
    """Yield a mistake if the store can neither be written to nor be created."""
    if store is None:
        return
    existing_parent = next(folder for folder in [store.resolve(), *store.resolve().parents] if folder.exists())
    if not existing_parent.is_dir() or not os.access(existing_parent, os.W_OK | os.X_OK):
        yield f"store: a folder that can be written to; got {store} ({existing_parent} cannot)"
