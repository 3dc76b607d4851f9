"""Check the rules of `model.finetune` and of its settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.config import model, schema
from pipeline.config.backbone_catalogue import BACKBONES, FINETUNE_LAST_FAMILIES
from pipeline.config.overrides import Override
from pipeline.config.ranges import Range

FINETUNE_KEYS = tuple(f"training.{field.name}" for field in fields(schema.FinetuneTraining))


def resolve_finetune_settings(settings: Mapping[str, Any], backbone: model.BackboneConfig | None) -> dict[str, Any]:
    """Return the settings with the finetuned part of the backbone, or without those of finetuning if there is none."""
    if backbone is None or backbone.finetune_part is None:
        return {key: value for key, value in settings.items() if key not in FINETUNE_KEYS}
    return {"model.backbone": backbone.name, "model.finetune": backbone.finetune_part, **settings}


def check_finetuning(
    backbone: model.BackboneConfig, settings: Mapping[str, Any], overrides: Sequence[Override]
) -> Iterator[str]:
    """Yield a line for each broken rule about finetuning."""
    override_keys = {override.key for override in overrides}
    ignored = [key for key in FINETUNE_KEYS if key in override_keys or isinstance(settings[key], Range)]
    if backbone.finetune == "none" and ignored:
        yield f"{', '.join(ignored)}: for model.finetune=last or all alone; got model.finetune=none"
    if backbone.finetune == "last" and backbone.is_pretrained and not BACKBONES[backbone.name].can_finetune_last:
        families = ", ".join(FINETUNE_LAST_FAMILIES)
        yield f"model.finetune: last is for the families {families}; got {backbone.name}; use model.finetune=all"
