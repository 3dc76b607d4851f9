"""Check the rules of the backbone: which settings it uses, its convolutional blocks, and its finetuning."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import fields
from typing import Any

from pipeline.config import model, schema
from pipeline.config.backbone_catalogue import CONVOLUTIONS, FINETUNE_LAST_FAMILIES, PIXELS
from pipeline.config.datasets import DatasetConfig
from pipeline.config.model import BackboneConfig
from pipeline.config.ranges import Choice, Interval, Range, upper_bound

CONV_BLOCK_KEYS = tuple(f"model.{field.name}" for field in fields(model.ConvBlockSpace))
FINETUNE_KEYS = tuple(f"training.{field.name}" for field in fields(schema.FinetuneTraining))


def resolve_settings(settings: Mapping[str, Any], backbone: BackboneConfig) -> dict[str, Any]:
    """Return the settings that the backbone uses, with its name and its finetuned part if it is finetuned."""
    is_finetuned = backbone.finetune != "none"
    unused = (() if backbone.name == CONVOLUTIONS else CONV_BLOCK_KEYS) + (() if is_finetuned else FINETUNE_KEYS)
    used = {key: value for key, value in settings.items() if key not in unused}
    return {"model.backbone": backbone.name, "model.finetune": backbone.finetune, **used} if is_finetuned else used


def check_backbone(
    backbone: BackboneConfig, features: schema.FeaturesConfig | None, dataset: DatasetConfig | None, typed: Set[str]
) -> Iterator[str]:
    """Yield a line for each setting that has no effect with this backbone, or that it cannot work with."""
    if backbone.name != PIXELS and dataset is not None and dataset.spec.is_table:
        yield f"model.backbone: is for images, and dataset={dataset.kind} has none; got {backbone.name}"
    if backbone.is_pretrained:
        if backbone.weights is not None and not backbone.weights.is_file():
            yield f"model.weights: a file that exists; got {backbone.weights} (none at {backbone.weights.resolve()})"
        for key in sorted(typed & {"training.flip", "training.shift"}):
            rule = "a pretrained backbone reads each image once"
            yield f"{key}: {rule}; got {backbone.name}; for augmentation use features.views"
        return
    for key, neutral in (("weights", None), ("finetune", "none")):
        if (value := getattr(backbone, key)) != neutral:
            yield f"model.{key}: is for a pretrained backbone, such as resnet18; got {value} for {backbone.name}"
    if features is not None and features.views > 1:
        example = "such as model.backbone=efficientnet_lite0"
        yield f"features.views: is for a pretrained backbone, {example}; got {features.views} for {backbone.name}"


def check_finetuning(backbone: BackboneConfig, settings: Mapping[str, Any], typed: Set[str]) -> Iterator[str]:
    """Yield a line for each broken rule about finetuning."""
    ignored = [key for key in FINETUNE_KEYS if key in typed or isinstance(settings[key], Range)]
    if backbone.finetune == "none" and ignored:
        yield f"{', '.join(ignored)}: for model.finetune=last or all alone; got model.finetune=none"
    if backbone.finetune != "none":
        for key, neutral in (("model.norm", "none"), ("model.residual", False)):
            if settings[key] not in (neutral, None):
                yield f"{key}: is for model.finetune=none; got model.finetune={backbone.finetune}; leave one out"
    if backbone.finetune == "last" and backbone.is_pretrained and not backbone.name.startswith(FINETUNE_LAST_FAMILIES):
        families = ", ".join(FINETUNE_LAST_FAMILIES)
        yield f"model.finetune: last is for the families {families}; got {backbone.name}; use model.finetune=all"


def check_convolutions(
    backbone: BackboneConfig | None, dataset: DatasetConfig | None, settings: Mapping[str, Any], typed: Set[str]
) -> Iterator[str]:
    """Yield a line for each broken rule about convolutional blocks."""
    if backbone is None or backbone.name != CONVOLUTIONS:
        ignored = [key for key in CONV_BLOCK_KEYS if key in typed or isinstance(settings[key], Range)]
        if backbone is not None and ignored:
            yield f"{', '.join(ignored)}: for model.backbone={CONVOLUTIONS} alone; got model.backbone={backbone.name}"
        return
    if image_size := getattr(dataset, "size", None):
        yield from _check_depth(image_size, settings)
    yield from _check_channels(settings, typed)
    kernel = settings["model.kernel"]
    if isinstance(kernel, Interval) and (kernel.step is None or kernel.step % 2):
        yield "model.kernel: 3, 5 or 7, so a range has step: 2, or is {choice: [3, 5, 7]}"


def _check_depth(image_size: int, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a mistake if images are halved more often than their side allows."""
    channels = settings["model.channels"]
    max_blocks = min(model.MAX_CONV_BLOCKS, image_size.bit_length() - 1)
    rule = f"images of {image_size} x {image_size} take at most {max_blocks}, since each block halves them"
    hint = "use fewer, or larger images (dataset.size=)"
    if isinstance(channels, tuple):
        if len(channels) > max_blocks:
            yield f"model.channels: {rule}; got {list(channels)}; {hint}"
    elif (blocks := int(upper_bound(settings["model.blocks"]))) > max_blocks:
        yield f"model.blocks: {rule}; got {blocks}; {hint}"


def _check_channels(settings: Mapping[str, Any], typed: Set[str]) -> Iterator[str]:
    """Yield mistakes of a list of channels, which fixes blocks and growth, and of channels that double too often."""
    channels = settings["model.channels"]
    growth = settings["model.growth"]
    if isinstance(channels, tuple):
        fixed = f"model.channels={list(channels)} fixes"
        if not channels:
            yield "model.channels: at least one block; got []; without blocks use model.backbone=pixels"
        if "model.blocks" in typed and settings["model.blocks"] != len(channels):
            yield f"model.blocks: {fixed} {len(channels)} blocks; leave one of the two out"
        if "model.growth" in typed:
            yield f"model.growth: {fixed} the growth already; leave one of the two out"
        return
    doubles = growth == "double" or (isinstance(growth, Choice) and "double" in growth)
    max_channels = int(upper_bound(channels)) << max(0, int(upper_bound(settings["model.blocks"])) - 1)
    if doubles and max_channels > model.MAX_CONV_CHANNELS:
        rule = f"a block has at most {model.MAX_CONV_CHANNELS:,}, and growth=double comes to {max_channels:,}"
        yield f"model.channels: {rule}; use fewer, fewer model.blocks, or model.growth=same"
