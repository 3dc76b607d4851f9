"""A search with its data at hand: which rows, split how, judged how; and the name that follows from all of it."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline import data, preprocessing
from pipeline.artifact.model_files import MOST_PARAMETERS
from pipeline.cache import make_room
from pipeline.config.model import Tail
from pipeline.config.rules import TARGETS
from pipeline.config.schema import Search
from pipeline.data import folds
from pipeline.data.examples import DataError, Examples, Features, Pictures
from pipeline.data.folds import Fold, Folds
from pipeline.models import heads
from pipeline.models.heads import AnyHead
from pipeline.preprocessing import Inputs
from pipeline.training.device import Device, resolve
from pipeline.training.trial_state import Task

ARITHMETIC = "4"  # raised where the same search comes to other digits, or its record is kept another way


@dataclass(frozen=True)
class Question:
    """What is asked, of which rows, and how answers are judged.

    facts: everything that decides a result, by name; fingerprint: their SHA-256; name: the study's.
    pictures: what people see of the examples, also where a backbone reads them; none of a table.
    """

    name: str
    fingerprint: str
    facts: Mapping[str, str]
    examples: Examples
    splits: Folds
    inputs: Inputs
    head: AnyHead
    task: Task
    pictures: Pictures | None

    @property
    def notes(self) -> list[str]:
        """What a person should know before training starts."""
        count = len(self.splits.left_out)
        left_out = [f"left out, since a copy is among the held-out test rows: {count}"] if count else []
        return [*self.examples.notes, *left_out]

    @property
    def constant(self) -> float:
        """The score in cross-validation of the best answer that looks at no input: the mean over the folds."""
        return math.fsum(map(self._constant, self.splits.folds)) / len(self.splits.folds)

    def _constant(self, fold: Fold) -> float:
        targets = self.examples.targets[fold.train]
        answer, truth = self.head.majority(targets, self.task.metric), self.task.targets[fold.validation]
        return self.head.score(self.task.metric, answer.expand(len(truth), -1), truth, self.head.learn(targets))


def pose(search: Search) -> Question:
    """Loads the examples, splits them, and names the study by everything that decides its result.

    Raises DataError where the data cannot be used, NoDeviceError where the device asked for is not there.
    """
    device, begin = resolve(search.compute), int(time.time())
    cache = search.store / "cache"
    loaded = data.load(search.dataset, TARGETS[type(search.head)], cache)
    examples = _seen(search, loaded, device, cache)
    make_room(cache, search.cache.max_gb, begin)
    splits = folds.split(examples, search.cv, search.seed)
    head = heads.build(search.head, examples)
    layout = preprocessing.describe(examples, splits.development)
    task = Task(layout, head, search.metric, torch.from_numpy(examples.targets.copy()), device)
    facts = _facts(search, examples, splits, device)
    fingerprint = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
    pictures = loaded.inputs if isinstance(loaded.inputs, Pictures) else None
    name = search.study or f"{search.task}-{fingerprint[:8]}"
    return Question(name, fingerprint, facts, examples, splits, layout, head, task, pictures)


def _seen(search: Search, examples: Examples, device: Device, cache: Path) -> Examples:
    """The examples, with what a pretrained backbone makes of their pictures in their place."""
    if not search.backbone.pretrained:
        return examples
    assert isinstance(examples.inputs, Pictures)
    from pipeline.models.backbones import Frozen  # only where there is one: the others start faster

    if search.backbone.part is not None:
        _check_size(Tail(search.backbone.name, search.backbone.part))
    frozen = Frozen.of(search.backbone, cache, device.torch)
    return replace(examples, inputs=frozen.features(examples.inputs, search.features.views, cache))


def _check_size(tail: Tail) -> None:
    """Raises DataError where no model file takes a part of a backbone; before anything of it is fetched or computed."""
    from pipeline.models.backbones import split

    if (count := split.learned(tail)) > MOST_PARAMETERS:
        raise DataError(
            f"model.finetune: a model has at most {MOST_PARAMETERS:,} parameters; what would be trained along of "
            f"{tail.backbone} has {count:,}; use a smaller model.backbone, or model.finetune=none"
        )


def _facts(search: Search, examples: Examples, splits: Folds, device: Device) -> dict[str, str]:
    return {
        "task": search.task,
        "data": examples.fingerprint[:16],
        "folds": splits.fingerprint[:16],
        "metric": search.metric,
        "head": repr(search.head),
        "space": repr(sorted(search.space.settings.items())),
        "baseline": repr(sorted(search.baseline.settings.items())),
        "sampler": search.sampler,
        "pruner": search.pruner,
        "seed": str(search.seed),
        "backbone": _named(examples),
        "precision": device.precision,
        "arithmetic": ARITHMETIC,
    }


def _named(examples: Examples) -> str:
    """Which backbone has looked at the pictures, with which weights, and at how many views of them."""
    seen = examples.inputs
    if not isinstance(seen, Features):
        return "none"
    trained = [] if seen.deep is None else [seen.deep.part]
    return " ".join([seen.backbone, seen.weights_sha256[:16], str(len(seen.views)), *trained])
