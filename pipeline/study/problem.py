"""Prediction problem of a search: its examples, folds and task, and the name and fingerprint that follow from them."""

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from pipeline import data, preprocessing
from pipeline.artifact.architecture import MAX_PARAMETERS
from pipeline.config.heads import HeadConfig
from pipeline.config.model import FinetuneSpec
from pipeline.config.schema import FeaturesConfig, Search
from pipeline.data import folds
from pipeline.data.cache import evict_least_recently_used
from pipeline.data.examples import BackboneFeatures, Examples, Images, RawInputs, Table
from pipeline.data.folds import Folds
from pipeline.models import heads
from pipeline.runtime.errors import UserError
from pipeline.training.device import Device, resolve_device
from pipeline.training.fold_data import FoldDataBuilder
from pipeline.training.trials import PredictionTask

NUMERICS_VERSION = "4"  # raise it when a change of the code gives the same search other digits or another trials.log


@dataclass(frozen=True)
class Problem:
    """Data of a search, how they are split, and the task of every trial.

    facts: everything that decides a result, by name; fingerprint: their SHA-256; name: the study's.
    images: the examples as people look at them, also if a backbone's features replace them; None for a table.
    """

    name: str
    fingerprint: str
    facts: Mapping[str, str]
    examples: Examples
    splits: Folds
    task: PredictionTask
    images: Images | None

    @property
    def notes(self) -> list[str]:
        """Return lines about the data to print before training starts."""
        n_excluded = len(self.splits.excluded)
        excluded = [f"left out, since a copy is among the held-out test rows: {n_excluded}"] if n_excluded else []
        return [*self.examples.notes, *excluded]

    @property
    def constant_score(self) -> float:
        """Return the constant baseline's score in cross-validation: the mean over the folds."""
        predictions = []
        for fold in self.splits.folds:
            constant = self.task.head.constant_prediction(self.examples.targets[fold.train], self.task.metric)
            predictions.append(constant.expand(len(fold.validation), -1))
        scores = self.score_folds(predictions)
        return math.fsum(scores) / len(scores)

    def score_folds(self, predictions: Sequence[Tensor]) -> list[float]:
        """Return the score of each fold from the predictions of its V validation rows, [V, columns]."""
        head = self.task.head
        scores = []
        for fold, fold_predictions in zip(self.splits.folds, predictions, strict=True):
            targets = self.task.targets[fold.validation]
            constants = head.fit(self.examples.targets[fold.train])
            scores.append(head.score(self.task.metric, fold_predictions, targets, constants))
        return scores

    def fold_data_builder(self) -> FoldDataBuilder:
        """Return a builder of the tensors of its folds."""
        return FoldDataBuilder(self.examples, self.task.inputs, self.task.head, self.task.device.torch_device)


def build_problem(search: Search) -> Problem:
    """Load the examples of a search, split them, prepare their task, and name the study by what decides its result.

    Raises UserError if the data cannot be used, and NoDeviceError if the device is missing.
    """
    device = resolve_device(search.compute)
    examples, images = _load_examples(search, device)
    splits = folds.make_folds(examples, search.cv, search.seed)
    head = heads.build_head(search.head, examples)
    head.require_scorable(search.metric, examples.targets)
    features = search.features
    inputs = preprocessing.build_inputs(examples, splits.development, features.numbers, features.bins)
    task = PredictionTask(inputs, head, search.metric, torch.from_numpy(examples.targets.copy()), device)
    facts = _collect_facts(search, examples, splits, device)
    fingerprint = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
    name = search.study or f"{search.task}-{fingerprint[:8]}"
    return Problem(name, fingerprint, facts, examples, splits, task, images)


def _load_examples(search: Search, device: Device) -> tuple[Examples, Images | None]:
    """Return the examples, with a pretrained backbone's features in place of their images, and the images."""
    start_time = int(time.time())
    cache = search.store / "cache"
    examples = data.load_examples(search.dataset, search.head.spec.target_kind, cache)
    images = examples.inputs if isinstance(examples.inputs, Images) else None
    if search.backbone.is_pretrained:
        assert images is not None
        examples = replace(examples, inputs=_extract_features(search, images, device, cache))
    evict_least_recently_used(cache, search.cache.max_gb, start_time)
    return examples, images


def _extract_features(search: Search, images: Images, device: Device, cache: Path) -> BackboneFeatures:
    """Return the images' features; raises UserError if a model file could not hold the part to finetune."""
    # Here, since torchvision takes 3.5 s to import, and only pretrained backbones need it.
    from pipeline.models.backbones import PretrainedBackbone, split

    backbone = search.backbone
    if backbone.finetune_part is not None:  # counted before its weights are downloaded
        n_parameters = split.count_tail_parameters(FinetuneSpec(backbone.name, backbone.finetune_part))
        if n_parameters > MAX_PARAMETERS:
            raise UserError(
                f"model.finetune: a model has at most {MAX_PARAMETERS:,} parameters; the finetuned part of "
                f"{backbone.name} has {n_parameters:,}; use a smaller model.backbone, or model.finetune=none"
            )
    pretrained = PretrainedBackbone.from_config(backbone, cache, device.torch_device)
    return pretrained.load_or_extract(images, search.features.views, cache)


def _collect_facts(search: Search, examples: Examples, splits: Folds, device: Device) -> dict[str, str]:
    inputs = examples.inputs
    backbone = "none"
    if isinstance(inputs, BackboneFeatures):
        finetuned_part = [] if inputs.activations is None else [inputs.activations.part]
        backbone = " ".join([inputs.backbone, inputs.weights_sha256[:16], str(len(inputs.views)), *finetuned_part])
    facts = {
        "task": search.task,
        "data": examples.fingerprint[:16],
        "folds": splits.fingerprint[:16],
        "metric": search.metric.name,
        "head": _describe_options(search.head),
        "space": repr(sorted(search.space.settings.items())),
        "baseline": repr(sorted(search.baseline.settings.items())),
        "sampler": search.sampler.name,
        "pruner": search.pruner.name,
        "seed": str(search.seed),
        "backbone": backbone,
        "precision": device.precision,
        "arithmetic": NUMERICS_VERSION,
    }
    return facts | _describe_encoding(search.features, inputs)


def _describe_encoding(features: FeaturesConfig, inputs: RawInputs) -> dict[str, str]:
    """Return the encoding of a table's numbers, unless it is the default, so that existing studies keep their names."""
    if not isinstance(inputs, Table) or features.numbers == "standard":
        return {}
    return {"numbers": f"{features.numbers}, bins={features.bins}"}


def _describe_options(config: HeadConfig) -> str:
    """Return the options except those at a default, so that adding one does not change existing studies."""
    options = [(field, getattr(config, field.name)) for field in fields(config)]
    texts = [f"{field.name}={value!r}" for field, value in options if value != field.default]
    return ", ".join(texts)
