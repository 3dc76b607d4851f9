"""The rules of `model.finetune`: which backbones it is for, and whose words its settings are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.config import model, schema
from pipeline.config.backbone_catalogue import LAST, LITE
from pipeline.config.overrides import Word
from pipeline.config.ranges import Range

KEYS = tuple(f"training.{field.name}" for field in fields(schema.Tuning))


def used(settings: Mapping[str, Any], backbone: model.Backbone | None) -> dict[str, Any]:
    """The settings with what is trained along of the backbone, or without how that is done where nothing is."""
    if backbone is None or backbone.part is None:
        return {key: value for key, value in settings.items() if key not in KEYS}
    return {"model.backbone": backbone.name, "model.finetune": backbone.part, **settings}


def mistakes(backbone: model.Backbone, settings: Mapping[str, Any], words: Sequence[Word]) -> Iterator[str]:
    """A line for each rule about fine-tuning that is broken."""
    typed = {word.key for word in words}
    ignored = [key for key in KEYS if key in typed or isinstance(settings[key], Range)]
    if backbone.finetune == "none" and ignored:
        yield f"{', '.join(ignored)}: for model.finetune=last or all alone; got model.finetune=none"
    if backbone.finetune == "last" and backbone.pretrained and not backbone.name.startswith(LAST):
        families = ", ".join(dict.fromkeys(name.rstrip("_") for name in LAST if name != LITE))
        yield (
            f"model.finetune: last is for {LITE} and the families {families}; got {backbone.name}; "
            "use model.finetune=all"
        )
