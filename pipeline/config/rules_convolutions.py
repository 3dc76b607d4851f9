"""The rules of `model.backbone=convolutions`: what its blocks fit, and whose words they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.config import datasets, model
from pipeline.config.backbone_catalogue import CONVOLUTIONS
from pipeline.config.datasets import TABLES
from pipeline.config.overrides import Word
from pipeline.config.ranges import Choice, Interval, Range, highest

KEYS = tuple(f"model.{field.name}" for field in fields(model.Blocks))
LARGER = "use fewer, or larger pictures (dataset.size=)"


def used(settings: Mapping[str, Any], backbone: model.Backbone | None) -> dict[str, Any]:
    """The settings without those of the blocks, where there are none."""
    has_blocks = backbone is not None and backbone.name == CONVOLUTIONS
    return {key: value for key, value in settings.items() if has_blocks or key not in KEYS}


def mistakes(
    backbone: model.Backbone | None,
    dataset: datasets.Dataset | None,
    settings: Mapping[str, Any],
    words: Sequence[Word],
) -> Iterator[str]:
    """A line for each rule about blocks that is broken."""
    typed = {word.key for word in words}
    if backbone is None or backbone.name != CONVOLUTIONS:
        ignored = [key for key in KEYS if key in typed or isinstance(settings[key], Range)]
        if backbone is not None and ignored:
            yield f"{', '.join(ignored)}: for model.backbone={CONVOLUTIONS} alone; got model.backbone={backbone.name}"
        return
    if dataset is not None and not isinstance(dataset, TABLES):
        yield from _halved(dataset.size, settings)
    yield from _channels(settings, typed)
    yield from _kernel(settings["model.kernel"])


def _halved(side: int, settings: Mapping[str, Any]) -> Iterator[str]:
    """A picture of one pixel cannot be halved."""
    channels, most = settings["model.channels"], min(model.MOST_BLOCKS, side.bit_length() - 1)
    if isinstance(channels, tuple) and len(channels) > most:
        yield f"model.channels: {_few(side, most)}; got {list(channels)}; {LARGER}"
    if not isinstance(channels, tuple) and (asked := int(highest(settings["model.blocks"]))) > most:
        yield f"model.blocks: {_few(side, most)}; got {asked}; {LARGER}"


def _few(side: int, most: int) -> str:
    return f"pictures of {side} x {side} take at most {most}, since each block halves them"


def _channels(settings: Mapping[str, Any], typed: set[str]) -> Iterator[str]:
    """A list fixes the blocks and how they grow; what is doubled must stay within the limit."""
    channels, growth = settings["model.channels"], settings["model.growth"]
    if isinstance(channels, tuple):
        fixed = f"model.channels={list(channels)} fixes"
        if not channels:
            yield "model.channels: of one block at least; got []; without any it is model.backbone=pixels"
        if "model.blocks" in typed and settings["model.blocks"] != len(channels):
            yield f"model.blocks: {fixed} {len(channels)} blocks; leave one of the two out"
        if "model.growth" in typed:
            yield f"model.growth: {fixed} how they grow already; leave one of the two out"
        return
    doubles = growth == "double" or (isinstance(growth, Choice) and "double" in growth)
    widest = int(highest(channels)) << max(0, int(highest(settings["model.blocks"])) - 1)
    if doubles and widest > model.MOST_CHANNELS:
        rule = f"a block has at most {model.MOST_CHANNELS:,}, and growth=double comes to {widest:,}"
        yield f"model.channels: {rule}; use fewer, fewer model.blocks, or model.growth=same"


def _kernel(kernel: object) -> Iterator[str]:
    if isinstance(kernel, Interval) and (kernel.step is None or kernel.step % 2):
        yield "model.kernel: 3, 5 or 7, so a range has step: 2, or is {choice: [3, 5, 7]}"
