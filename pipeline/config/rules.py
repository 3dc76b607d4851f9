"""What fits together and what does not: rules between settings, and the paths they name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import datasets, model, rules_convolutions, rules_finetuning, schema
from pipeline.config.backbone_catalogue import PIXELS
from pipeline.config.datasets import TABLES
from pipeline.config.overrides import Word
from pipeline.config.ranges import highest
from pipeline.data.examples import TargetKind

CLASS_METRICS = ("accuracy", "f1_macro")
METRICS: dict[type, tuple[str, ...]] = {
    schema.Sigmoid: CLASS_METRICS,
    schema.Sigmoids: CLASS_METRICS,
    schema.Softmax: CLASS_METRICS,
    schema.Number: ("mean_absolute_error",),
    schema.Bands: (*CLASS_METRICS, "mean_absolute_error"),
}
TARGETS: dict[type, TargetKind] = {
    schema.Sigmoid: "classes",
    schema.Sigmoids: "labels",
    schema.Softmax: "classes",
    schema.Number: "numbers",
    schema.Bands: "numbers",
}
SUBJECTS = {
    "breed": "classes",
    "presence": "classes",
    "animals": "classes",
    "daylight": "classes",
    "together": "labels",
    "age": "numbers",
}
HEADS_OF = {
    "classes": "head=softmax, or head=sigmoid for two",
    "labels": "head=sigmoids",
    "numbers": "head=number or head=bands",
}


def mistakes(parts: Mapping[str, Any], settings: Mapping[str, Any], words: Sequence[Word]) -> list[str]:
    """A line for each rule between settings that is broken; parts that could not be read are passed over."""
    found = [*_nodes(settings, words), *_store(parts["store"]), *_workers(parts["compute"], parts["pruner"])]
    dataset, head, backbone = parts["dataset"], parts["head"], parts["backbone"]
    found += rules_convolutions.mistakes(backbone, dataset, settings, words)
    if dataset is not None:
        found += [*_paths(dataset), *_pictures_only(dataset, settings)]
    if backbone is not None:
        found += [
            *_backbone(backbone, parts["features"], dataset, words),
            *rules_finetuning.mistakes(backbone, settings, words),
        ]
    if head is not None:
        found += [*_metric(head, parts["metric"]), *_edges(head)]
    if dataset is not None and head is not None:
        found += _targets(dataset, head)
    return found


def _metric(head: schema.Head, metric: str | None) -> Iterator[str]:
    fitting = METRICS[type(head)]
    if metric is not None and metric not in fitting:
        yield f"metric: head={head.kind} is judged by {' or '.join(fitting)}; got {metric}"


def _edges(head: schema.Head) -> Iterator[str]:
    if isinstance(head, schema.Bands) and list(head.edges) != sorted(set(head.edges)):
        yield f"head.edges: rising numbers, such as [1, 3, 7]; got {list(head.edges)}"


def _targets(dataset: datasets.Dataset, head: schema.Head) -> Iterator[str]:
    """Where the kind of data set alone says what its answers are."""
    gives = given(dataset)
    if gives is not None and gives != TARGETS[type(head)]:
        yield f"head: {_named(dataset)} gives {gives}, for {HEADS_OF[gives]}; got head={head.kind}"


def given(dataset: datasets.Dataset) -> str | None:
    """What the answers of a data set are, where that is known before it is read."""
    if isinstance(dataset, datasets.Drawn):
        return SUBJECTS[dataset.subject]
    if isinstance(dataset, datasets.DrawnHouses):
        return "numbers"
    return None if isinstance(dataset, datasets.Labels | datasets.TableFile) else "classes"


def _named(dataset: datasets.Dataset) -> str:
    subject = getattr(dataset, "subject", None)
    return f"dataset={dataset.kind} with subject={subject}" if subject else f"dataset={dataset.kind}"


def _pictures_only(dataset: datasets.Dataset, settings: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(dataset, TABLES):
        for key, idle in (("training.flip", False), ("training.shift", 0)):
            if settings.get(key) not in (idle, None):
                yield f"{key}: is for pictures, and dataset={dataset.kind} has none; use space=dense"
    elif (
        isinstance(side := getattr(dataset, "size", None), int)
        and (widest := highest(settings.get("training.shift"))) >= side
    ):
        yield f"training.shift: fewer pixels than a picture has, {side}; got {widest}"


def _backbone(
    backbone: model.Backbone,
    features: schema.Features | None,
    dataset: datasets.Dataset | None,
    words: Sequence[Word],
) -> Iterator[str]:
    """What has no effect beside this backbone, and what it cannot work with."""
    if backbone.name != PIXELS and isinstance(dataset, TABLES):
        yield f"model.backbone: is for pictures, and dataset={dataset.kind} has none; got {backbone.name}"
    if not backbone.pretrained:
        for key, idle in (("weights", None), ("finetune", "none")):
            if (value := getattr(backbone, key)) != idle:
                yield f"model.{key}: is for a pretrained backbone, such as resnet18; got {value} for {backbone.name}"
    elif backbone.weights is not None and not backbone.weights.is_file():
        yield f"model.weights: a file that exists; got {backbone.weights} (none at {backbone.weights.resolve()})"
    if not backbone.pretrained and features is not None and features.views > 1:
        yield "features.views: is for a pretrained backbone, such as model.backbone=efficientnet_lite0"
    if backbone.pretrained:
        for key in sorted({word.key for word in words} & {"training.flip", "training.shift"}):
            yield f"{key}: a pretrained backbone sees each picture once; say features.views for changed pictures"


def _nodes(settings: Mapping[str, Any], words: Sequence[Word]) -> Iterator[str]:
    """A list of nodes fixes the layers and the shape; saying another thing beside it would be ignored."""
    nodes, typed = settings.get("model.nodes"), {word.key for word in words}
    if not isinstance(nodes, tuple):
        return
    if len(nodes) > model.MOST_LAYERS:
        yield f"model.nodes: of {model.MOST_LAYERS} layers at most; got {len(nodes)}; use fewer"
    if "model.layers" in typed and settings.get("model.layers") != len(nodes):
        yield f"model.layers: model.nodes={list(nodes)} fixes {len(nodes)} layers; leave one of the two out"
    if "model.shape" in typed:
        yield f"model.shape: model.nodes={list(nodes)} fixes the widths already; leave one of the two out"


def _paths(dataset: datasets.Dataset) -> Iterator[str]:
    """Files and folders that a person named must be there; what is downloaded need not."""
    if isinstance(dataset, datasets.OxfordPets | datasets.Cifar):
        return
    for field in ("root", "file", "train", "test"):
        path = getattr(dataset, field, None)
        if path is None:
            continue
        fits, what = (Path.is_dir, "folder") if field == "root" else (Path.is_file, "file")
        if not fits(path):
            there = f"{path.resolve()} is none" if path.exists() else f"there is none at {path.resolve()}"
            yield f"dataset.{field}: a {what} that exists; got {path} ({there})"


def _workers(compute: schema.Compute | None, pruner: str | None) -> Iterator[str]:
    """A table must not depend on which of several processes is ahead."""
    if pruner == "asha" and compute is not None and compute.workers != 1:
        yield (
            "compute.workers: pruner=asha compares trials that still run, so there is one worker; "
            f"got {compute.workers}; use pruner=median"
        )


def _store(store: Path | None) -> Iterator[str]:
    """The store is made where it is missing, so the nearest folder above it must take files."""
    if store is None:
        return
    above = next(folder for folder in [store.resolve(), *store.resolve().parents] if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        yield f"store: a folder that can be written to; got {store} ({above} cannot)"
