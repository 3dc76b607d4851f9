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
from pipeline.artifact.model_files import MAX_PARAMETERS
from pipeline.config.model import FinetuneSpec
from pipeline.config.schema import Search
from pipeline.data import folds
from pipeline.data.cache import evict_least_recently_used
from pipeline.data.examples import BackboneFeatures, Examples, Images
from pipeline.data.folds import Fold, Folds
from pipeline.models import heads
from pipeline.models.heads import AnyHead
from pipeline.preprocessing import Inputs
from pipeline.runtime.errors import UserError
from pipeline.training.device import Device, resolve_device
from pipeline.training.trial_state import PredictionTask

NUMERICS_VERSION = "4"  # raised where the same search comes to other digits, or its record is kept another way


@dataclass(frozen=True)
class Problem:
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
    task: PredictionTask
    images: Images | None

    @property
    def notes(self) -> list[str]:
        """What a person should know before training starts."""
        n_left_out = len(self.splits.excluded)
        left_out = [f"left out, since a copy is among the held-out test rows: {n_left_out}"] if n_left_out else []
        return [*self.examples.notes, *left_out]

    @property
    def constant_score(self) -> float:
        """The score in cross-validation of the best answer that looks at no input: the mean over the folds."""
        return math.fsum(map(self._constant_score_on, self.splits.folds)) / len(self.splits.folds)

    def _constant_score_on(self, fold: Fold) -> float:
        train_targets = self.examples.targets[fold.train]
        prediction, validation_targets = (
            self.head.constant_prediction(train_targets, self.task.metric),
            self.task.targets[fold.validation],
        )
        return self.head.score(
            self.task.metric,
            prediction.expand(len(validation_targets), -1),
            validation_targets,
            self.head.fit(train_targets),
        )


def build_problem(search: Search) -> Problem:
    """Loads the examples, splits them, and names the study by everything that decides its result.

    Raises UserError where the data cannot be used, NoDeviceError where the device asked for is not there.
    """
    device, start_time = resolve_device(search.compute), int(time.time())
    cache = search.store / "cache"
    raw_examples = data.load_examples(search.dataset, search.head.spec.target_kind, cache)
    examples = _extract_backbone_features(search, raw_examples, device, cache)
    evict_least_recently_used(cache, search.cache.max_gb, start_time)
    splits = folds.make_folds(examples, search.cv, search.seed)
    head = heads.build_head(search.head, examples)
    inputs = preprocessing.build_inputs(examples, splits.development)
    task = PredictionTask(inputs, head, search.metric, torch.from_numpy(examples.targets.copy()), device)
    facts = _collect_facts(search, examples, splits, device)
    fingerprint = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
    images = raw_examples.inputs if isinstance(raw_examples.inputs, Images) else None
    name = search.study or f"{search.task}-{fingerprint[:8]}"
    return Problem(name, fingerprint, facts, examples, splits, inputs, head, task, images)


def _extract_backbone_features(search: Search, examples: Examples, device: Device, cache: Path) -> Examples:
    """The examples, with what a pretrained backbone makes of their pictures in their place."""
    if not search.backbone.is_pretrained:
        return examples
    assert isinstance(examples.inputs, Images)
    from pipeline.models.backbones import PretrainedBackbone  # only where there is one: the others start faster

    if search.backbone.finetune_part is not None:
        _check_finetune_size(FinetuneSpec(search.backbone.name, search.backbone.finetune_part))
    backbone = PretrainedBackbone.from_config(search.backbone, cache, device.torch_device)
    return replace(examples, inputs=backbone.load_or_extract(examples.inputs, search.features.views, cache))


def _check_finetune_size(finetune: FinetuneSpec) -> None:
    """Raises UserError where no model file takes a part of a backbone; before anything of it is fetched or computed."""
    from pipeline.models.backbones import split

    if (n_parameters := split.count_tail_parameters(finetune)) > MAX_PARAMETERS:
        raise UserError(
            f"model.finetune: a model has at most {MAX_PARAMETERS:,} parameters; what would be trained along of "
            f"{finetune.backbone} has {n_parameters:,}; use a smaller model.backbone, or model.finetune=none"
        )


def _collect_facts(search: Search, examples: Examples, splits: Folds, device: Device) -> dict[str, str]:
    return {
        "task": search.task,
        "data": examples.fingerprint[:16],
        "folds": splits.fingerprint[:16],
        "metric": search.metric.name,
        "head": repr(search.head),
        "space": repr(sorted(search.space.settings.items())),
        "baseline": repr(sorted(search.baseline.settings.items())),
        "sampler": search.sampler.name,
        "pruner": search.pruner.name,
        "seed": str(search.seed),
        "backbone": _describe_backbone(examples),
        "precision": device.precision,
        "arithmetic": NUMERICS_VERSION,
    }


def _describe_backbone(examples: Examples) -> str:
    """Which backbone has looked at the pictures, with which weights, and at how many views of them."""
    inputs = examples.inputs
    if not isinstance(inputs, BackboneFeatures):
        return "none"
    finetuned_part = [] if inputs.activations is None else [inputs.activations.part]
    return " ".join([inputs.backbone, inputs.weights_sha256[:16], str(len(inputs.views)), *finetuned_part])
