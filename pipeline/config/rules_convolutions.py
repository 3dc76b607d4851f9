"""Check the rules of `model.backbone=convolutions` and of the settings of its blocks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.config import model
from pipeline.config.backbone_catalogue import CONVOLUTIONS
from pipeline.config.datasets import DatasetConfig
from pipeline.config.overrides import Override
from pipeline.config.ranges import Choice, Interval, Range, upper_bound

CONV_BLOCK_KEYS = tuple(f"model.{field.name}" for field in fields(model.ConvBlockSpace))


def drop_unused_settings(settings: Mapping[str, Any], backbone: model.BackboneConfig | None) -> dict[str, Any]:
    """Return the settings without those of convolutional blocks if the backbone has none."""
    has_blocks = backbone is not None and backbone.name == CONVOLUTIONS
    return {key: value for key, value in settings.items() if has_blocks or key not in CONV_BLOCK_KEYS}


def check_convolutions(
    backbone: model.BackboneConfig | None,
    dataset: DatasetConfig | None,
    settings: Mapping[str, Any],
    overrides: Sequence[Override],
) -> Iterator[str]:
    """Yield a line for each broken rule about convolutional blocks."""
    override_keys = {override.key for override in overrides}
    if backbone is None or backbone.name != CONVOLUTIONS:
        ignored = [key for key in CONV_BLOCK_KEYS if key in override_keys or isinstance(settings[key], Range)]
        if backbone is not None and ignored:
            yield f"{', '.join(ignored)}: for model.backbone={CONVOLUTIONS} alone; got model.backbone={backbone.name}"
        return
    if image_size := getattr(dataset, "size", None):
        yield from _check_depth(image_size, settings)
    yield from _check_channels(settings, override_keys)
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


def _check_channels(settings: Mapping[str, Any], override_keys: set[str]) -> Iterator[str]:
    """Yield mistakes of a list of channels, which fixes blocks and growth, and of channels that double too often."""
    channels = settings["model.channels"]
    growth = settings["model.growth"]
    if isinstance(channels, tuple):
        fixed = f"model.channels={list(channels)} fixes"
        if not channels:
            yield "model.channels: at least one block; got []; without blocks use model.backbone=pixels"
        if "model.blocks" in override_keys and settings["model.blocks"] != len(channels):
            yield f"model.blocks: {fixed} {len(channels)} blocks; leave one of the two out"
        if "model.growth" in override_keys:
            yield f"model.growth: {fixed} the growth already; leave one of the two out"
        return
    doubles = growth == "double" or (isinstance(growth, Choice) and "double" in growth)
    max_channels = int(upper_bound(channels)) << max(0, int(upper_bound(settings["model.blocks"])) - 1)
    if doubles and max_channels > model.MAX_CONV_CHANNELS:
        rule = f"a block has at most {model.MAX_CONV_CHANNELS:,}, and growth=double comes to {max_channels:,}"
        yield f"model.channels: {rule}; use fewer, fewer model.blocks, or model.growth=same"
