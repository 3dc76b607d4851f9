"""A command's words become a Search, or one line for every mistake in them; nothing slow is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from pipeline.config import rules, rules_convolutions, rules_finetuning, sections, suggestions
from pipeline.config.backbone_catalogue import BACKBONE_NAMES, BACKBONES, PIXELS
from pipeline.config.compose import ConfigError, compose_config, resolve_groups
from pipeline.config.datasets import DATASETS
from pipeline.config.model import BackboneConfig
from pipeline.config.overrides import Override, parse_override
from pipeline.config.ranges import error_text, is_range_mapping, parse_range
from pipeline.config.schema import Search, SearchSpace
from pipeline.runtime.suggestions import did_you_mean

MISSING = "???"  # as Hydra writes a value that a person is to give


def read_search(arguments: Sequence[str], config_dir: Path | None = None) -> Search:
    """The search that these overrides describe.

    Raises ConfigError with **all** mistakes: each with the key as typed, the rule, what it got, the nearest name.
    """
    overrides, mistakes = _parse_overrides(arguments)
    resolved, unknown = resolve_groups(overrides, config_dir)
    mistakes += unknown
    if any(word.key == "task" for word in resolved):
        return _ConfigReader(resolved, config_dir, mistakes).build_search(*_compose_with_baseline(resolved, config_dir))
    raise ConfigError(mistakes)


def _compose_with_baseline(
    overrides: Sequence[Override], config_dir: Path | None
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The configuration, the baseline's (with every range left out), and the first as YAML."""
    config, yaml = compose_config(overrides, config_dir)
    fixed = [word for word in overrides if word.key != "space" and not word.is_range]
    baseline, _ = compose_config([*fixed, parse_override("space=none")], config_dir)
    return config, baseline, yaml


def _parse_overrides(arguments: Sequence[str]) -> tuple[list[Override], list[str]]:
    overrides, mistakes = [], []
    for text in arguments:
        try:
            override = parse_override(text)
        except ValueError as error:
            mistakes.append(str(error))
            continue
        if override.is_sweep:
            values = text.partition("=")[2]
            mistakes.append(f"{text}: several values are a list, {override.key}=[{values}], or with -m a search each")
        else:
            overrides.append(override)
    return overrides, mistakes


class _ConfigReader:
    """Collects mistakes while it reads, so that a person sees them all at once."""

    def __init__(self, overrides: Sequence[Override], config_dir: Path | None, mistakes: list[str]) -> None:
        self.overrides, self.config_dir, self.mistakes = overrides, config_dir, mistakes

    def build_search(self, config: dict[str, Any], baseline_config: dict[str, Any], yaml: str) -> Search:
        backbone = self.read_backbone(config.get("model"))
        parts: dict[str, Any] = {
            "dataset": self.read_kind("dataset", _with_image_size(config, backbone), sections.DATASET_CLASSES),
            "backbone": backbone,
            "head": self.read_kind("head", config, sections.HEAD_CLASSES),
        }
        parts |= {
            name: self.read_section(name, config.get(name), kind) for name, kind in sections.SECTION_CLASSES.items()
        }
        parts |= {key: self.read_scalar(key, config.get(key), kind) for key, kind in sections.SCALAR_TYPES.items()}
        self.report_unknown_keys(
            "",
            config,
            [*(key for key in parts if key != "backbone"), *sections.INTERPOLATION_KEYS, "model", "training"],
        )
        settings = _without_augmentation(self.read_settings(config), backbone)
        baseline_settings = _without_augmentation(self.read_settings(baseline_config, quiet=True), backbone)
        self.mistakes += rules.check_settings(parts, settings, self.overrides)
        if self.mistakes:
            raise ConfigError(list(dict.fromkeys(self.mistakes)))
        unused = {
            key
            for key, default in sections.searchable_defaults().items()
            if settings[key] == default and baseline_settings[key] == default
        }
        task = next(str(word.value) for word in reversed(self.overrides) if word.key == "task")
        overrides = tuple(word.text for word in self.overrides)
        parts |= {
            "space": _build_space(settings, backbone, unused),
            "baseline": _build_space(baseline_settings, backbone, unused),
            "config_dir": self.config_dir,
        }
        return Search(task=task, overrides=overrides, yaml=yaml, **parts)

    def read_kind(self, section: str, config: Mapping[str, Any], kinds: Mapping[str, type]) -> Any:
        """The section as the dataclass its `kind` names."""
        raw = config.get(section)
        name = raw.get("kind") if isinstance(raw, Mapping) else None
        if name not in kinds:
            known = ", ".join(kinds)
            self.mistakes.append(f"{section}.kind: one of {known}; got {name!r}{did_you_mean(str(name), list(kinds))}")
            return None
        return self.read_section(section, raw, kinds[str(name)])

    def read_backbone(self, raw: object) -> BackboneConfig | None:
        """What stands before the hidden layers: three fields of `model`, of which none is searched."""
        model = raw if isinstance(raw, Mapping) else {}
        for key in sections.BACKBONE_KEYS:
            if is_range_mapping(model.get(key)):
                self.mistakes.append(f"model.{key}: one for a search, whose trials share it; got {model[key]}")
                return None
        name = model.get("backbone")
        if name not in BACKBONE_NAMES:
            known = "pixels, convolutions, efficientnet_lite0 or a network of torchvision's, such as resnet18"
            self.mistakes.append(f"model.backbone: {known}; got {name!r}{did_you_mean(str(name), BACKBONE_NAMES)}")
            name = PIXELS  # so that the rest is judged too
        rest = {key: model.get(key) for key in sections.BACKBONE_KEYS if key != "backbone"}
        return cast(
            "BackboneConfig | None", self.validate("model", TypeAdapter(BackboneConfig), {"name": name, **rest})
        )

    def read_section(self, section: str, raw: object, kind: type) -> Any:
        if not isinstance(raw, Mapping):
            self.mistakes.append(f"{section}: holds {', '.join(sections.list_field_names(kind))}; got {raw!r}")
            return None
        self.report_unknown_keys(section, raw, sections.list_field_names(kind))
        known = {
            key: _list_to_tuple(raw[key])
            for key in sections.list_field_names(kind)
            if not self.is_missing(f"{section}.{key}", raw.get(key, MISSING))
        }
        return self.validate(section, TypeAdapter(kind), known)

    def read_scalar(self, key: str, raw: object, kind: Any) -> Any:
        return self.validate(key, TypeAdapter(kind), raw)

    def read_settings(self, config: Mapping[str, Any], quiet: bool = False) -> dict[str, Any]:
        """A value or a range for each searchable field."""
        settings: dict[str, Any] = {}
        defaults = sections.searchable_defaults()
        for section, kinds in sections.SEARCHABLE_CLASSES.items():
            hints = sections.list_searchable_fields(kinds)
            raw = config.get(section)
            raw = raw if isinstance(raw, Mapping) else {}
            if not quiet:
                self.report_unknown_keys(
                    section, raw, [*(sections.BACKBONE_KEYS if section == "model" else ()), *hints]
                )
            for name, hint in hints.items():
                key = f"{section}.{name}"
                settings[key] = self.read_setting(key, raw.get(name, defaults.get(key)), hint)
        return settings

    def read_setting(self, key: str, raw: object, hint: Any) -> Any:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        if is_range_mapping(raw):
            assert isinstance(raw, Mapping)
            try:
                return parse_range(raw, adapter)
            except ValueError as error:
                self.mistakes.append(f"{key}: {error_text(error)}")
                return None
        if key in sections.LIST_KEYS and isinstance(raw, list):
            return self.validate(key, TypeAdapter(tuple[hint, ...]), tuple(raw))
        return self.validate(key, adapter, raw)

    def validate(self, key: str, adapter: TypeAdapter[Any], raw: object) -> Any:
        try:
            return adapter.validate_python(raw)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                field = f".{detail['loc'][0]}" if detail["loc"] and isinstance(detail["loc"][0], str) else ""
                if detail["type"] != "missing":
                    self.mistakes.append(_format_validation_error(key + field, detail))
            return None

    def is_missing(self, key: str, value: object) -> bool:
        if value == MISSING:
            self.mistakes.append(f"{key}: needs a value, such as {key}={EXAMPLE_VALUES.get(key, '...')}")
            return True
        return False

    def report_unknown_keys(self, group: str, raw: Mapping[str, Any], known: Sequence[str]) -> None:
        elsewhere = [] if group else sections.list_all_keys()
        for name in raw:
            if name not in known:
                other_datasets = sections.find_datasets_with_key(name) if group == "dataset" else []
                self.mistakes.append(
                    suggestions.describe_key_of_other_datasets(name, other_datasets)
                    or suggestions.describe_unknown_key(group, name, known, elsewhere)
                )


PLAIN_PHRASES = {"a valid integer": "a whole number", "a valid number": "a number", "a valid boolean": "true or false"}
EXAMPLE_VALUES = {
    "dataset.root": "my_photos",
    "dataset.file": "my_table.csv",
    "dataset.target": "price",
    "dataset.train": "train.h5",
}


def _without_augmentation(settings: dict[str, Any], backbone: BackboneConfig | None) -> dict[str, Any]:
    """A space for pictures moves them; what a pretrained backbone has seen stays where it is."""
    is_pretrained = backbone is not None and backbone.is_pretrained
    return settings | {"training.flip": False, "training.shift": 0} if is_pretrained else settings


def _build_space(settings: Mapping[str, Any], backbone: BackboneConfig | None, unused: set[str]) -> SearchSpace:
    """Return the settings that this search uses.

    unused: fields with a default that stand at it. Without them the fingerprint and the table of trials are those of
    the release before the field, so that its studies resume.
    """
    used = {key: value for key, value in settings.items() if key not in unused}
    used = rules_convolutions.drop_unused_settings(used, backbone)
    return SearchSpace(rules_finetuning.resolve_finetune_settings(used, backbone))


def _with_image_size(config: Mapping[str, Any], backbone: BackboneConfig | None) -> dict[str, Any]:
    """The configuration with the side of the pictures, where that is to be the backbone's own."""
    dataset = config.get("dataset")
    if not isinstance(dataset, Mapping) or dataset.get("size") != "auto" or dataset.get("kind") not in DATASETS:
        return dict(config)
    is_pretrained = backbone is not None and backbone.is_pretrained
    spec = BACKBONES[backbone.name] if backbone and is_pretrained else DATASETS[dataset["kind"]]
    return {**config, "dataset": {**dataset, "size": spec.image_size}}


def _list_to_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _format_validation_error(key: str, detail: Any) -> str:
    text = str(detail["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    text = PLAIN_PHRASES.get(text, text)
    expected = detail.get("ctx", {}).get("expected", "")
    options = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")] if expected else []
    return f"{key}: {text}; got {detail['input']!r}{did_you_mean(str(detail['input']), options)}"
